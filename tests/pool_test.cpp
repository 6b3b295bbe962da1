// Pool over MPI.
#include "pool_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cleave {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* name;
  int threads;
  const char* schedule;
  DataPath path;
  int ranks_per_node; // 0: the truth
};

class PoolOverMpi : public ::testing::TestWithParam<Case> {};

TEST_P(PoolOverMpi, KeepsItsPromises) {
  const Case& how = GetParam();
  PoolOptions options;
  options.threads = how.threads;
  options.schedule = Schedule::parse(how.schedule);
  options.data_path = how.path;
  options.comm.ranks_per_node = how.ranks_per_node;
  options.comm.message_limit = 1024;
  cleave::testing::check_pool(Comm(MPI_COMM_WORLD, options.comm), options);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, PoolOverMpi,
    ::testing::Values(Case{"best", 1, "block", DataPath::automatic, 0},
                      Case{"direct", 2, "cyclic,7", DataPath::direct, 0},
                      Case{"window", 2, "block", DataPath::window, 0},
                      Case{"window_cyclic", 1, "cyclic", DataPath::window, 0},
                      Case{"messages", 1, "cyclic,7", DataPath::messages, 0},
                      Case{"messages_threads", 3, "block", DataPath::messages, 0},
                      Case{"auto", 1, "auto", DataPath::automatic, 0},
                      Case{"auto_window", 3, "auto", DataPath::window, 0},
                      Case{"dynamic", 2, "dynamic", DataPath::automatic, 0},
                      Case{"guided", 1, "guided,3", DataPath::direct, 0},
                      Case{"trapezoid", 2, "trapezoid", DataPath::window, 0},
                      Case{"factoring", 2, "factoring,2", DataPath::direct, 0},
                      Case{"weighted", 1, "weighted", DataPath::direct, 0},
                      Case{"adaptive", 2, "adaptive", DataPath::automatic, 0},
                      Case{"auto_on_nodes", 1, "auto", DataPath::automatic, 1},
                      Case{"dynamic_on_nodes", 2, "dynamic,2", DataPath::automatic, 2},
                      Case{"nodes_of_one", 1, "block", DataPath::automatic, 1},
                      Case{"nodes_of_two", 2, "cyclic", DataPath::automatic, 2}),
    [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

TEST(PoolOverMpi, TakesAWeightForEachWorker) {
  int size = 0;
  int rank = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const auto workers = static_cast<std::size_t>(2 * size);
  const auto refusal = [](std::vector<double> weights) -> std::string {
    try {
      const Pool pool(MPI_COMM_WORLD, {.threads = 2, .weights = std::move(weights)});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  std::vector<double> weights(workers, 1);
  weights.back() = 3;
  Pool pool(MPI_COMM_WORLD,
            {.threads = 2, .schedule = Schedule(Technique::weighted), .weights = weights});
  EXPECT_EQ(pool.map_reduce([](std::int64_t i) { return i; }, 1000, std::plus<>(), std::int64_t{0}),
            499'500);
  const std::string count = "of the " + std::to_string(workers) + " workers";
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    weights.back() = bad;
    EXPECT_THAT(refusal(weights), HasSubstr(count));
  }
  EXPECT_THAT(refusal({1}), HasSubstr(count));
  weights.back() = 1 + rank;
  if (size > 1) {
    EXPECT_THAT(refusal(weights), HasSubstr("differs between ranks"));
  }
}

TEST(PoolOverMpi, IsMadeOfAnyCommunicator) {
  // The job in reverse order of ranks: root is the last process.
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm reversed = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &reversed);
  Pool pool(reversed, PoolOptions{.threads = 1});
  MPI_Comm_free(&reversed);
  cleave::testing::check_maps(pool);
  cleave::testing::check_map_bands(pool);
}

TEST(PoolOverMpi, EndsTheOthersWhenARankThrowsBetweenCalls) {
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const auto begin = std::chrono::steady_clock::now();
  std::string told;
  try {
    Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1});
    if (rank + 1 == size)
      throw std::runtime_error("the user's own code");
    (void)pool.map([](std::int64_t i) { return i; }, 10);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
    told = error.what();
  } catch (const std::runtime_error& error) {
    told = error.what();
  }
  if (rank + 1 == size)
    EXPECT_EQ(told, "the user's own code");
  else
    EXPECT_NE(told.find("rank " + std::to_string(size - 1)), std::string::npos) << told;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(PoolOverMpi, LeavesItsCommWholeWhenItEndsByAnException) {
  const Comm comm(MPI_COMM_WORLD);
  std::string told;
  try {
    Pool pool(comm, PoolOptions{.threads = 1});
    pool.from_root([] { throw Error(ErrorKind::bad_input, "no such file"); });
  } catch (const Error& error) {
    told = error.what();
  }
  EXPECT_EQ(told, "no such file");
  // Who waits long looks for those who have left.
  if (comm.rank() == comm.size() - 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  Pool pool(comm, PoolOptions{.threads = 1});
  EXPECT_EQ(pool.map_reduce([](std::int64_t i) { return i; }, 5, std::plus<>(), std::int64_t{0}),
            10);
}

TEST(PoolOverMpi, RefusesOptionsThatDifferBetweenRanks) {
  const Comm comm(MPI_COMM_WORLD);
  if (comm.size() == 1)
    return;
  const bool last = comm.rank() == comm.size() - 1;
  const auto refusal = [&comm](const PoolOptions& options) {
    try {
      const Pool pool(comm, options);
      return std::string("accepted");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.place().key;
    }
  };
  EXPECT_EQ(refusal({.threads = 1, .seed = last ? 1U : 0U}), "seed");
  EXPECT_EQ(refusal({.threads = 1, .schedule = Schedule(Technique::cyclic, last ? 2 : 3)}),
            "schedule");
  EXPECT_EQ(refusal({.threads = last ? -1 : 1}), "threads");
  EXPECT_EQ(refusal({.threads = last ? 2 : 1}), "accepted");
}

TEST(PoolOverMpi, IsMadeManyTimes) {
  for (int made = 0; made < 200; ++made) {
    Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1});
    const auto sum =
        pool.map_reduce([](std::int64_t i) { return i; }, 10, std::plus<>(), std::int64_t{0});
    EXPECT_EQ(sum, 45);
  }
}

} // namespace
} // namespace cleave
