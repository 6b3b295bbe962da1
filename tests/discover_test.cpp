// Run under mpi_main.cpp at several numbers of ranks, and on the in-process Comm.
#include "cleave/discover.hpp"
#include "machine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

namespace cleave {
namespace {

/// The same value everywhere, true of this process, with threads that fit.
void expect_true_layout(const Comm& comm, const Layout& layout) {
  const auto mine = static_cast<std::size_t>(comm.rank());
  EXPECT_EQ(std::ssize(layout.ranks()), comm.size());
  EXPECT_EQ(std::ssize(layout.nodes()), comm.nodes());
  EXPECT_EQ(layout.ranks()[mine].cpus, affinity_mask());
  EXPECT_EQ(layout.ranks()[mine].pid, comm.pid_of(comm.rank()));
  EXPECT_EQ(layout.ranks()[mine].node, comm.node());
  for (const RankPlace& rank : layout.ranks()) {
    EXPECT_GE(rank.threads, 1);
    EXPECT_FALSE(rank.cores.empty());
    EXPECT_LE(rank.cores.size(), rank.cpus.size());
  }
  for (const NodePlace& node : layout.nodes()) {
    EXPECT_FALSE(node.name.empty());
    EXPECT_GE(node.cores, 1);
    EXPECT_GT(node.shm_bytes, 0U);
    EXPECT_FALSE(node.cpu_model.empty());
  }
  const std::vector<std::string> summaries = comm.all_gather(layout.summary());
  EXPECT_EQ(std::ranges::count(summaries, layout.summary()), comm.size());
}

TEST(Discover, SeesEveryRank) {
  const Session session;
  const Comm comm(session);
  expect_true_layout(comm, discover(comm));
}

TEST(Discover, GivesEveryRankTheThreadsItAsksFor) {
  const Session session;
  const Comm comm(session);
  const Layout layout = discover(comm, 1 + comm.rank());
  for (int rank = 0; rank < comm.size(); ++rank)
    EXPECT_EQ(layout.ranks()[static_cast<std::size_t>(rank)].threads, 1 + rank);
}

TEST(Discover, RefusesImpossibleThreadsOnEveryRank) {
  const Session session;
  const Comm comm(session);
  const int last = comm.size() - 1;
  EXPECT_THROW((void)discover(comm, comm.rank() == last ? -1 : 1), Error);
  EXPECT_THROW((void)discover(comm, comm.rank() == last ? max_threads + 1 : 1), Error);
  EXPECT_EQ(discover(comm, max_threads).threads(), max_threads);
}

TEST(Discover, SeesSeveralNodesWhereItIsToldSo) {
  const Session session;
  CommOptions options;
  options.ranks_per_node = 2;
  const Comm comm(session, options);
  const Layout layout = discover(comm);
  EXPECT_EQ(std::ssize(layout.nodes()), (comm.size() + 1) / 2);
  expect_true_layout(comm, layout);
}

} // namespace
} // namespace cleave
