// Executor over threads of this process, under the thread sanitizer as well.
#include "executor_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cleave {
namespace {

using namespace std::chrono_literals;

std::atomic<bool> let_go{false};

void holds_on() {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!let_go && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(1ms);
}

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

/// What root says while it waits for tasks that last until it has said something that ends so.
std::vector<std::string> said_until(const std::string& end, const Case& split, int tasks) {
  std::mutex saying;
  std::vector<std::string> said;
  CommOptions options;
  options.ranks_per_node = split.ranks_per_node;
  options.patience_s = 0.1;
  options.on_absent = [&](const std::string& text) {
    const std::lock_guard lock(saying);
    said.push_back(text);
    if (text.ends_with(end))
      let_go = true;
  };
  let_go = false;
  Comm::in_process(
      split.ranks,
      [&split, tasks](Comm& comm) {
        Pool pool(comm, PoolOptions{.threads = split.threads});
        Executor::run(pool, [tasks](Executor& e) {
          for (int i = 0; i < tasks; ++i)
            e.submit<&holds_on>();
        });
      },
      options);
  return said;
}

TEST(ExecutorInProcess, NamesTheTasksThatRootWaitsForAndTheirRanks) {
  using ::testing::Contains;
  using ::testing::MatchesRegex;
  const std::string begin = "rank 0 \\(host .+, pid [0-9]+\\) has waited [0-9]+ s for ";
  const std::string rank_1 = "rank 1 \\(host .+, pid [0-9]+\\): ";
  for (const int ranks_per_node : {0, 1})
    EXPECT_THAT(said_until(": task 0", {2, 1, ranks_per_node}, 1),
                Contains(MatchesRegex(begin + rank_1 + "task 0")));
  EXPECT_THAT(said_until("its own task 0", {1, 1, 0}, 1),
              Contains(MatchesRegex(begin + "its own task 0")));
  EXPECT_THAT(said_until(" and 1 more", {2, 2, 0}, 4),
              Contains(MatchesRegex(begin + rank_1 + "task 0, " + rank_1 +
                                    "task 1, its own task [23] and 1 more")));
}

TEST(ExecutorInProcess, IsSilentBeforePatienceEnds) {
  CommOptions options;
  options.patience_s = 30;
  std::atomic<int> said{0};
  options.on_absent = [&said](const std::string&) { ++said; };
  Comm::in_process(
      2,
      [](Comm& comm) {
        Pool pool(comm, PoolOptions{.threads = 1});
        Executor::run(pool,
                      [](Executor& e) { cleave::testing::wait_for_a_sleeping_task(e, 500ms); });
      },
      options);
  EXPECT_EQ(said, 0);
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
