#include "cleave/record.hpp"
#include "cleave/store.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

namespace cleave {
namespace {

/// A file of the test's own that is gone before and after.
class RecordTest : public ::testing::Test {
protected:
  RecordTest() { clear(); }
  ~RecordTest() override { clear(); }

  void clear() {
    pool.from_root([this] { std::filesystem::remove(file); });
  }
  std::int64_t sum() {
    return pool.map_reduce([](std::int64_t i) { return i; }, 1000, std::plus<>(), std::int64_t{0});
  }

  Pool pool{MPI_COMM_WORLD, {.threads = 2}};
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() /
      ("record_test_" + std::to_string(pool.comm().pid_of(0)) + ".h5");
};

TEST_F(RecordTest, WritesEveryRepetition) {
  const Timings timings =
      record(pool, file, [this] { sum(); },
             {.name = "sum", .repetitions = 3, .warm_ups = 1, .checksum = [] { return 7; }});
  if (pool.is_root()) {
    const Timings read = read_timings(file);
    EXPECT_EQ(read.info.workload, "sum");
    EXPECT_EQ(read.info.tasks, 1000);
    EXPECT_EQ(read.info.ranks, pool.comm().size());
    EXPECT_EQ(read.info.threads, 2);
    EXPECT_EQ(read.warm_up.size(), 1U);
    EXPECT_EQ(read.run.size(), 3U);
    EXPECT_EQ(timings.run.size(), 3U);
    for (const Repetition& repetition : read.run) {
      EXPECT_EQ(repetition.state, RepState::done);
      EXPECT_EQ(repetition.verify, Verify::not_checked);
      EXPECT_EQ(repetition.checksum, 7U);
      EXPECT_GT(repetition.wall_s, 0);
      EXPECT_EQ(std::ssize(repetition.ranks), pool.comm().size());
    }
  }
}

TEST_F(RecordTest, WrongAnswerIsRecordedAndThrownEverywhere) {
  int calls = 0;
  const RecordOptions options{.repetitions = 5, .check = [&calls] { return ++calls < 2; }};
  try {
    record(
        pool, file, [this] { sum(); }, options);
    ADD_FAILURE() << "a failed check must throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::wrong_answer);
  }
  if (pool.is_root()) {
    const Timings read = read_timings(file);
    EXPECT_EQ(read.run.size(), 2U);
    if (read.run.size() == 2) {
      EXPECT_EQ(read.run[0].state, RepState::done);
      EXPECT_EQ(read.run[1].state, RepState::wrong_answer);
    }
  }
}

TEST_F(RecordTest, RefusesBeforeAnyWork) {
  bool worked = false;
  try {
    record(pool, "/no/such/directory/a.h5", [&worked] { worked = true; });
    ADD_FAILURE() << "a file that cannot be written must be refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
  }
  EXPECT_FALSE(worked);
}

} // namespace
} // namespace cleave
