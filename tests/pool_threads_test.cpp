// Pool over threads of this process, under the thread sanitizer as well.
#include "pool_checks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

namespace cleave {
namespace {

/// A layout, a schedule and a data path.
struct Case {
  int ranks;
  int threads;
  int ranks_per_node; // 0: one node
  std::string schedule;
  DataPath path;
};

/// Every number of ranks with every number of threads; schedules, nodes and paths take turns so
/// that each meets each.
std::vector<Case> cases() {
  const std::array schedules = {"block",    "dynamic",   "cyclic",   "guided,2",
                                "auto",     "trapezoid", "weighted", "factoring",
                                "adaptive", "cyclic,7",  "dynamic,7"};
  const std::array paths = {DataPath::automatic, DataPath::window, DataPath::messages,
                            DataPath::direct};
  std::vector<Case> all;
  std::size_t turn = 0;
  for (int ranks = 1; ranks <= 5; ++ranks)
    for (int threads = 1; threads <= 3; ++threads)
      for (const int ranks_per_node : {0, turn % 2 == 0 ? 1 : 2}) {
        const DataPath path = ranks_per_node == 0 ? paths[turn % 4] : DataPath::automatic;
        all.push_back(
            {ranks, threads, ranks_per_node, schedules[turn / 2 % schedules.size()], path});
        ++turn;
      }
  return all;
}

class PoolInProcess : public ::testing::TestWithParam<Case> {};

TEST_P(PoolInProcess, KeepsItsPromises) {
  const Case& split = GetParam();
  CommOptions comm_options;
  comm_options.message_limit = 1000;
  comm_options.ranks_per_node = split.ranks_per_node;
  Comm::in_process(
      split.ranks,
      [&](Comm& comm) {
        PoolOptions options;
        options.threads = split.threads;
        options.schedule = Schedule::parse(split.schedule);
        options.data_path = split.path;
        cleave::testing::check_pool(comm, options);
      },
      comm_options);
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const Case& split = info.param;
  std::string schedule = split.schedule;
  std::ranges::replace(schedule, ',', '_');
  return std::to_string(split.ranks) + "x" + std::to_string(split.threads) + "_on_nodes_of_" +
         std::to_string(split.ranks_per_node) + "_" + schedule + "_" + name(split.path);
}

INSTANTIATE_TEST_SUITE_P(AllLayouts, PoolInProcess, ::testing::ValuesIn(cases()), case_name);

TEST(PoolInProcess, RefusesAPathThatCannotBeHad) {
  CommOptions two_nodes;
  two_nodes.ranks_per_node = 1;
  for (const DataPath path : {DataPath::direct, DataPath::window})
    EXPECT_THROW(Comm::in_process(
                     2,
                     [path](Comm& comm) {
                       PoolOptions options;
                       options.data_path = path;
                       const Pool pool(comm, options);
                     },
                     two_nodes),
                 Error);
}

TEST(PoolInProcess, EndsTheOthersWhenARankThrowsBetweenCalls) {
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<int> lost{0};
  EXPECT_THROW(Comm::in_process(3,
                                [&](Comm& comm) {
                                  Pool pool(comm, PoolOptions{.threads = 2});
                                  (void)pool.map([](std::int64_t i) { return i; }, 10);
                                  if (comm.rank() == 1)
                                    throw std::runtime_error("the user's own code");
                                  try {
                                    (void)pool.map([](std::int64_t i) { return i; }, 10);
                                  } catch (const Error& error) {
                                    EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
                                    EXPECT_NE(std::string(error.what()).find("rank 1"),
                                              std::string::npos);
                                    ++lost;
                                    throw;
                                  }
                                }),
               std::exception);
  EXPECT_EQ(lost, 2);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(PoolInProcess, TellsItsProgress) {
  std::vector<double> shares;
  Comm::in_process(2, [&](Comm& comm) {
    PoolOptions options;
    options.threads = 1;
    if (comm.is_root())
      options.on_progress = [&](double share) { shares.push_back(share); };
    Pool pool(comm, options);
    (void)pool.map(
        [](std::int64_t i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          return i;
        },
        200);
  });
  ASSERT_GE(shares.size(), 2U);
  EXPECT_TRUE(std::ranges::is_sorted(shares));
  EXPECT_GT(shares.front(), 0);
  EXPECT_LE(shares.back(), 1);
}

} // namespace
} // namespace cleave
