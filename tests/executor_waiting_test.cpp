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

/// Seconds of processor time that this rank takes for a run.
double cost_of(Pool& pool, const std::function<void(Executor&)>& function) {
  pool.comm().barrier();
  const double before = cleave::testing::cpu_seconds();
  Executor::run(pool, function);
  return cleave::testing::cpu_seconds() - before;
}

TEST_P(ExecutorWaiting, SleepsWhileThereIsNothingToDo) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  EXPECT_LT(cost_of(pool, [](Executor&) { std::this_thread::sleep_for(500ms); }), 0.1);
}

TEST_P(ExecutorWaiting, SleepsWhileItWaitsForATask) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  EXPECT_LT(cost_of(pool, cleave::testing::wait_for_a_sleeping_task), 0.1);
}

TEST_P(ExecutorWaiting, KeepsWorkersBusyWhileRootSleeps) {
  Pool pool(MPI_COMM_WORLD, nodes_of(GetParam()));
  cleave::testing::check_workers_stay_busy(pool);
}

INSTANTIATE_TEST_SUITE_P(RanksPerNode, ExecutorWaiting, ::testing::Values(0, 1));

} // namespace
} // namespace cleave
