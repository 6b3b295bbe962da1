// Executor over MPI: who sleeps and who works while nobody asks.
#include "comm_checks.hpp"
#include "executor_checks.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <functional>
#include <thread>

namespace cleave {
namespace {

using namespace std::chrono_literals;

PoolOptions nodes_of(int ranks_per_node) {
  PoolOptions options;
  options.threads = 1;
  options.comm.ranks_per_node = ranks_per_node;
  return options;
}

class ExecutorWaiting : public ::testing::TestWithParam<int> {};

/// That every rank sleeps in a run.
void check_sleeps_in(Pool& pool, const std::function<void(Executor&)>& function) {
  cleave::testing::check_sleeps(pool.comm(), [&] { Executor::run(pool, function); });
}

/// Needs a core for a second.
void compute() {
  const auto end = std::chrono::steady_clock::now() + 1s;
  while (std::chrono::steady_clock::now() < end)
    ;
}

TEST_P(ExecutorWaiting, SleepsWhileThereIsNothingToDo) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  check_sleeps_in(pool, [](Executor&) { std::this_thread::sleep_for(2s); });
}

TEST_P(ExecutorWaiting, SleepsWhileItWaitsForATask) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  check_sleeps_in(pool, [](Executor& e) { cleave::testing::wait_for_a_sleeping_task(e, 2s); });
}

TEST_P(ExecutorWaiting, KeepsWorkersBusyWhileRootSleeps) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  cleave::testing::check_workers_stay_busy(pool, [] { std::this_thread::sleep_for(1s); });
}

TEST_P(ExecutorWaiting, KeepsWorkersBusyWhileRootComputes) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  cleave::testing::check_workers_stay_busy(pool, compute);
}

INSTANTIATE_TEST_SUITE_P(RanksPerNode, ExecutorWaiting, ::testing::Values(0, 1));

} // namespace
} // namespace cleave
