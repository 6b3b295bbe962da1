#include "cleave/error.hpp"

#include <gtest/gtest.h>

namespace cleave {
namespace {

TEST(Error, SaysPlaceBeforeMessage) {
  EXPECT_STREQ(Error(ErrorKind::io, "disk full").what(), "disk full");
  EXPECT_STREQ(Error(ErrorKind::bad_input, "below 1", {"ep.toml", 7, "n"}).what(),
               "ep.toml:7: n: below 1");
  EXPECT_STREQ(Error(ErrorKind::bad_input, "below 1", {"", 0, "n"}).what(), "n: below 1");
  EXPECT_STREQ(Error(ErrorKind::bad_input, "cut short", {"", 3, ""}).what(), "line 3: cut short");
}

TEST(Error, KeepsItsParts) {
  const Error error(ErrorKind::not_comparable, "two workloads", {"a.h5", 0, "workload"});
  EXPECT_EQ(error.kind(), ErrorKind::not_comparable);
  EXPECT_EQ(error.message(), "two workloads");
  EXPECT_EQ(error.place().file, "a.h5");
  EXPECT_EQ(error.place().key, "workload");
}

TEST(Error, KindsHaveNamesAndExitStatus) {
  EXPECT_STREQ(name(ErrorKind::bad_input), "bad_input");
  EXPECT_STREQ(name(ErrorKind::interrupted), "interrupted");
  EXPECT_EQ(exit_status(ErrorKind::bad_input), 2);
  EXPECT_EQ(exit_status(ErrorKind::wrong_answer), 3);
  EXPECT_EQ(exit_status(ErrorKind::failed_task), 3);
  EXPECT_EQ(exit_status(ErrorKind::not_comparable), 4);
  EXPECT_EQ(exit_status(ErrorKind::interrupted), 75);
}

TEST(MapError, NamesTheFirstTaskAndCountsTheOthers) {
  const TaskFailure first{41, 3, 1, "n2", "std::runtime_error", "no convergence"};
  EXPECT_STREQ(MapError({first}).what(), "task 41 failed on rank 3 (thread 1, host n2): "
                                         "std::runtime_error: no convergence");
  const MapError both({first, {42, 0, 0, "n1", "int", ""}});
  EXPECT_EQ(both.failures().size(), 2U);
  EXPECT_TRUE(std::string(both.what()).ends_with("(and 1 more)"));
  EXPECT_EQ(both.kind(), ErrorKind::failed_task);
  EXPECT_STREQ(MapError({{-1, 1, 0, "n1", "std::bad_alloc", ""}}).what(),
               "the call failed on rank 1 (thread 0, host n1): std::bad_alloc");
}

} // namespace
} // namespace cleave
