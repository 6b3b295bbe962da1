#include "executor_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cleave::testing {

using namespace std::chrono_literals;

namespace tasks {

constexpr int any_rank = -1;

/// Ends when it is asked to, where it runs on this rank.
std::string until_stopped(int rank, bool throws, Worker& worker) {
  if (rank != any_rank && rank != worker.rank()) {
    std::this_thread::sleep_for(2ms);
    return "elsewhere";
  }
  while (!worker.stop_requested())
    std::this_thread::sleep_for(1ms);
  if (throws)
    throw std::runtime_error("stopped");
  return "stopped";
}

/// Whether it has been asked to stop.
bool sleeps(int milliseconds, Worker& worker) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return worker.stop_requested();
}

void fails() {
  throw std::out_of_range("no such row");
}

} // namespace tasks

namespace {

template <class R>
std::vector<TaskFailure> failures_of(const std::vector<Future<R>>& futures) {
  std::vector<TaskFailure> failures;
  for (const Future<R>& future : futures)
    try {
      future.get();
    } catch (const MapError& error) {
      failures.push_back(error.failures().at(0));
      EXPECT_EQ(failures.back().task, future.task());
    }
  return failures;
}

void expect_late(const TaskFailure& failure, const std::string& timeout) {
  EXPECT_EQ(failure.type, "cleave::TimedOut");
  EXPECT_EQ(failure.what, "timed out after " + timeout);
}

bool is_late_on(Executor& e, int rank) {
  std::vector<Future<std::string>> futures;
  for (int i = 0; i < 2 * e.workers(); ++i)
    futures.push_back(e.submit<&tasks::until_stopped>(rank, false));
  const std::vector<TaskFailure> failures = failures_of(futures);
  for (const TaskFailure& failure : failures)
    expect_late(failure, "0.05 s");
  return std::ranges::find(failures, rank, &TaskFailure::rank) != failures.end();
}

/// The Pool's time-out is that of every task, wherever it runs.
void check_timeout_of_pool(Pool& pool) {
  PoolOptions options = pool.options();
  options.timeout = 50ms;
  Pool timed(pool.comm(), options);
  Executor::run(timed, [&timed](Executor& e) {
    for (const int rank : {0, timed.comm().size() - 1}) {
      bool late = false;
      for (int round = 0; !late && round < 100; ++round) // until one of the tasks has run there
        late = is_late_on(e, rank);
      EXPECT_TRUE(late) << "on rank " << rank;
    }
    EXPECT_FALSE(e.submit<&tasks::sleeps>({.timeout = 0s}, 100).get());
  });
}

/// A task's own is no other's, neither at the same time nor on the same worker.
void check_timeout_of_task(Pool& pool) {
  Executor::run(pool, [](Executor& e) {
    std::vector<Future<std::string>> late;
    std::vector<Future<bool>> unlimited;
    for (int i = 0; i < 2 * e.workers(); ++i) {
      late.push_back(
          e.submit<&tasks::until_stopped>({.timeout = 20ms}, tasks::any_rank, i % 2 > 0));
      unlimited.push_back(e.submit<&tasks::sleeps>(40));
    }
    const std::vector<TaskFailure> failures = failures_of(late);
    EXPECT_EQ(failures.size(), late.size());
    for (const TaskFailure& failure : failures)
      expect_late(failure, "0.02 s");
    for (const Future<bool>& future : unlimited)
      EXPECT_FALSE(future.get());
  });
}

/// What ends in time returns and throws as ever.
void check_in_time(Pool& pool) {
  Executor::run(pool, [](Executor& e) {
    for (const auto timeout : {std::chrono::hours(1), std::chrono::hours(24 * 365 * 300)}) {
      EXPECT_FALSE(e.submit<&tasks::sleeps>({.timeout = timeout}, 1).get());
      const auto failures = failures_of(std::vector{e.submit<&tasks::fails>({.timeout = timeout})});
      EXPECT_EQ(failures.at(0).type, "std::out_of_range");
    }
  });
}

} // namespace

void check_task_timeouts(Pool& pool) {
  check_timeout_of_pool(pool);
  check_timeout_of_task(pool);
  check_in_time(pool);
}

void check_task_times(Pool& pool) {
  constexpr int count = 12;
  const Repetition repetition = pool.measure([&] {
    Executor::run(pool, [](Executor& e) {
      std::vector<Future<bool>> futures;
      for (int i = 0; i < count; ++i)
        futures.push_back(e.submit<&tasks::sleeps>(2));
    });
  });
  if (!pool.is_root())
    return;
  std::uint64_t done = 0;
  double busy_s = 0;
  for (const RankTimes& rank : repetition.ranks) {
    done += rank.tasks_done;
    busy_s += std::accumulate(rank.thread_busy_s.begin(), rank.thread_busy_s.end(), 0.0);
  }
  EXPECT_EQ(done, count);
  EXPECT_GE(busy_s, count * 0.002);
}

} // namespace cleave::testing
