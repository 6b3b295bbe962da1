// Executor over MPI.
#include "comm_checks.hpp"
#include "executor_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <thread>

namespace cleave {
namespace {

using namespace std::chrono_literals;

struct Case {
  const char* name;
  int threads;
  int ranks_per_node; // 0: the truth
  std::int64_t limit; // bytes of a message
};

class ExecutorOverMpi : public ::testing::TestWithParam<Case> {
protected:
  static PoolOptions options() {
    PoolOptions options;
    options.threads = GetParam().threads;
    options.comm.ranks_per_node = GetParam().ranks_per_node;
    options.comm.message_limit = GetParam().limit;
    return options;
  }
};

TEST_P(ExecutorOverMpi, KeepsItsPromises) {
  Pool pool(MPI_COMM_WORLD, options());
  cleave::testing::check_executor(pool, 1);
}

TEST_P(ExecutorOverMpi, KeepsWorkersBusyWhileRootSleeps) {
  Pool pool(MPI_COMM_WORLD, options());
  cleave::testing::check_workers_stay_busy(pool);
}

TEST_P(ExecutorOverMpi, SleepsWhileThereIsNothingToDo) {
  Pool pool(MPI_COMM_WORLD, options());
  const double before = cleave::testing::cpu_seconds();
  Executor::run(pool, [](Executor&) { std::this_thread::sleep_for(2s); });
  EXPECT_LT(cleave::testing::cpu_seconds() - before, 0.1);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, ExecutorOverMpi,
    ::testing::Values(Case{"one_node", 1, 0, 64 << 20}, Case{"threads", 2, 0, 64 << 20},
                      Case{"nodes_of_one", 1, 1, 64 << 20}, Case{"nodes_of_two", 2, 2, 1000}),
    [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

TEST(ExecutorOverMpi, StreamsLargeArguments) {
  for (const int ranks_per_node : {0, 1}) {
    PoolOptions options;
    options.threads = 1;
    options.comm.ranks_per_node = ranks_per_node;
    Pool pool(MPI_COMM_WORLD, options);
    cleave::testing::check_large_tasks(pool, 50);
  }
}

} // namespace
} // namespace cleave
