// Comm and Pool over MPI: how ranks wait for one that is late.
#include "cleave/pool.hpp"
#include "comm_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <thread>

namespace cleave {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

CommOptions nodes_of(int ranks_per_node) {
  CommOptions options;
  options.ranks_per_node = ranks_per_node;
  return options;
}

TEST(CommWaiting, NamesARankThatIsLate) {
  for (const int ranks_per_node : {0, 1}) {
    std::vector<std::string> absent;
    CommOptions options = nodes_of(ranks_per_node);
    options.patience_s = 0.2;
    options.on_absent = [&](const std::string& text) { absent.push_back(text); };
    const Comm comm(MPI_COMM_WORLD, options);
    const int last = comm.size() - 1;
    comm.barrier();
    absent.clear();
    if (comm.rank() == last)
      std::this_thread::sleep_for(1500ms);
    comm.barrier();
    if (comm.size() == 1 || comm.rank() == last)
      continue;
    EXPECT_GE(absent.size(), 2U);
    const bool waits_for_it = ranks_per_node == 0 && comm.is_root();
    EXPECT_THAT(absent, Contains(HasSubstr(waits_for_it ? "for rank " + std::to_string(last)
                                                        : " has waited ")));
  }
}

TEST(CommWaiting, SleepsWhileItWaits) {
  for (const int ranks_per_node : {0, 1}) {
    SCOPED_TRACE(ranks_per_node);
    const Comm comm(MPI_COMM_WORLD, nodes_of(ranks_per_node));
    cleave::testing::check_sleeps(comm, [&comm] {
      if (comm.rank() + 1 == comm.size())
        std::this_thread::sleep_for(2s);
      comm.barrier();
    });
  }
}

TEST(CommWaiting, SleepsWhileItWaitsForAMessage) {
  const Comm comm(MPI_COMM_WORLD, nodes_of(0));
  cleave::testing::check_sleeps(comm, [&comm] {
    (void)comm.scatter_blobs([](int rank) {
      if (rank == 1)
        std::this_thread::sleep_for(2s);
      return std::vector<std::byte>(10);
    });
    comm.barrier();
  });
}

TEST(CommWaiting, SleepsWhileAnotherRankIsAtWorkInAPool) {
  for (const int ranks_per_node : {0, 1}) {
    SCOPED_TRACE(ranks_per_node);
    Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1, .comm = nodes_of(ranks_per_node)});
    const auto sleep = [last = pool.comm().size() - 1](std::int64_t i) {
      if (i == last)
        std::this_thread::sleep_for(2s);
      return i;
    };
    cleave::testing::check_sleeps(pool.comm(), [&] { (void)pool.map(sleep, pool.comm().size()); });
  }
}

} // namespace
} // namespace cleave
