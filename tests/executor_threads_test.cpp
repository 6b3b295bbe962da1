// Executor over threads of this process, under the thread sanitizer as well.
#include "executor_checks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace cleave {
namespace {

struct Case {
  int ranks;
  int threads;
  int ranks_per_node; // 0: one node
};

class ExecutorInProcess : public ::testing::TestWithParam<Case> {};

TEST_P(ExecutorInProcess, KeepsItsPromises) {
  const Case& split = GetParam();
  CommOptions options;
  options.ranks_per_node = split.ranks_per_node;
  options.message_limit = 10'000;
  Comm::in_process(
      split.ranks,
      [&split](Comm& comm) {
        Pool pool(comm, PoolOptions{.threads = split.threads});
        cleave::testing::check_executor(pool, 2);
      },
      options);
}

INSTANTIATE_TEST_SUITE_P(Layouts, ExecutorInProcess,
                         ::testing::Values(Case{1, 1, 0}, Case{1, 3, 0}, Case{2, 1, 0},
                                           Case{2, 2, 1}, Case{3, 1, 2}, Case{4, 2, 0},
                                           Case{4, 1, 1}),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return std::to_string(info.param.ranks) + "x" +
                                  std::to_string(info.param.threads) + "_on_nodes_of_" +
                                  std::to_string(info.param.ranks_per_node);
                         });

TEST(ExecutorInProcess, DrawsTheSameNumbersAtEveryLayoutAndOthersInEachRun) {
  std::vector<std::vector<std::uint64_t>> by_layout;
  for (const int ranks : {1, 3})
    Comm::in_process(ranks, [&by_layout](Comm& comm) {
      Pool pool(comm, PoolOptions{.threads = comm.size()});
      const std::vector<std::uint64_t> numbers = cleave::testing::random_numbers(pool);
      if (comm.is_root())
        by_layout.push_back(numbers);
    });
  EXPECT_EQ(by_layout[0], by_layout[1]);
  const std::set<std::uint64_t> distinct(by_layout[0].begin(), by_layout[0].end());
  EXPECT_EQ(distinct.size(), 20U);
  Worker again(0, 0, 0); // as docs/debugging.md says: the Pool's first call, its first task
  again.begin_call(RandomStream(PoolOptions().seed, 1, 0)(), 0);
  again.begin_task(0);
  EXPECT_EQ(again.random()(), by_layout[0].front());
}

TEST(ExecutorInProcess, EndsTheOthersWhenARankThrowsBetweenRuns) {
  std::atomic<int> lost{0};
  EXPECT_THROW(Comm::in_process(3,
                                [&lost](Comm& comm) {
                                  Pool pool(comm, PoolOptions{.threads = 2});
                                  Executor::run(pool, [](Executor&) {});
                                  if (comm.rank() == 1)
                                    throw std::runtime_error("the user's own code");
                                  try {
                                    Executor::run(pool, [](Executor&) {});
                                  } catch (const Error& error) {
                                    EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
                                    ++lost;
                                    throw;
                                  }
                                }),
               std::exception);
  EXPECT_EQ(lost, 2);
}

TEST(ExecutorInProcess, SaysWhichRankMakesAnotherCall) {
  Comm::in_process(2, [](Comm& comm) {
    Pool pool(comm, PoolOptions{.threads = 1});
    try {
      if (comm.is_root())
        Executor::run(pool, [](Executor&) {});
      else
        (void)pool.map([](std::int64_t i) { return i; }, 3);
      ADD_FAILURE() << "two calls are one";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
    }
  });
}

} // namespace
} // namespace cleave
