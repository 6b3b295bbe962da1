#include "pool_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cleave::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// What `call` throws, as text.
template <class Call>
std::string disagreement(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
    return error.what();
  }
  return "nothing was thrown";
}

} // namespace

void check_disagreements(Pool& pool) {
  if (pool.comm().size() == 1)
    return;
  const bool last = pool.comm().rank() + 1 == pool.comm().size();
  const std::string rank = "rank " + std::to_string(pool.comm().size() - 1);
  const auto index = [](std::int64_t i) { return i; };

  EXPECT_THAT(disagreement([&] { (void)pool.map(index, last ? 5 : 6); }),
              AllOf(HasSubstr("rank 0 "), HasSubstr(rank), HasSubstr("map of 6 tasks"),
                    HasSubstr("map of 5 tasks")));
  EXPECT_THAT(disagreement([&] {
                if (last)
                  pool.from_root([] {});
                else
                  (void)pool.map(index, 6);
              }),
              AllOf(HasSubstr("rank 0 "), HasSubstr(rank), HasSubstr("map of 6 tasks"),
                    HasSubstr("from_root")));
  EXPECT_THAT(disagreement([&] {
                if (last)
                  (void)pool.map([](std::int64_t i) { return static_cast<float>(i); }, 6);
                else
                  (void)pool.map(index, 6);
              }),
              AllOf(HasSubstr("map of 6 tasks"), HasSubstr("types")));
  EXPECT_THAT(disagreement([&] {
                if (last)
                  (void)pool.measure([] {});
                else
                  (void)pool.map(index, 6);
              }),
              AllOf(HasSubstr("map of 6 tasks"), HasSubstr("measure")));
  EXPECT_THAT(disagreement([&] {
                (void)pool.measure([&] {
                  if (last)
                    (void)pool.take_trace();
                });
              }),
              AllOf(HasSubstr("take_trace"), HasSubstr("the end of measure")));
  // They are in step again.
  EXPECT_EQ(pool.map_reduce(index, 5, std::plus<>(), std::int64_t{0}), 10);
}

} // namespace cleave::testing
