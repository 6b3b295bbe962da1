// Executor over MPI. How it waits: executor_waiting_test.cpp.
#include "executor_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <functional>
#include <string>

namespace cleave {
namespace {

using ::testing::HasSubstr;

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

INSTANTIATE_TEST_SUITE_P(
    Ways, ExecutorOverMpi,
    ::testing::Values(Case{"one_node", 1, 0, 64 << 20}, Case{"threads", 2, 0, 64 << 20},
                      Case{"nodes_of_one", 1, 1, 64 << 20}, Case{"nodes_of_two", 2, 2, 1000}),
    [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

Pool* own_pool = nullptr; // for what tasks must not do

std::int64_t calls_the_pool() {
  return own_pool->map_reduce([](std::int64_t i) { return i; }, 3, std::plus<>(), std::int64_t{0});
}

/// What `call` throws inside a run: on every rank.
std::string refusal_of(const std::function<void(Executor&)>& call) {
  Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1});
  own_pool = &pool;
  try {
    Executor::run(pool, call);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(ExecutorOverMpi, RefusesOtherCollectiveCallsWhileItRuns) {
  EXPECT_THAT(refusal_of([](Executor&) { (void)calls_the_pool(); }), HasSubstr("an Executor runs"));
  EXPECT_THAT(refusal_of([](Executor&) { Executor::run(*own_pool, [](Executor&) {}); }),
              HasSubstr("an Executor runs"));
  EXPECT_THAT(refusal_of([](Executor& e) { e.submit<&calls_the_pool>().get(); }),
              HasSubstr("an Executor runs"));
}

TEST(ExecutorOverMpi, StreamsLargeArguments) {
  for (const int ranks_per_node : {0, 1}) {
    PoolOptions options;
    options.threads = 1;
    options.comm.ranks_per_node = ranks_per_node;
    Pool pool(MPI_COMM_WORLD, options);
    cleave::testing::check_large_tasks(pool, 16);
  }
}

} // namespace
} // namespace cleave
