// discover() over the in-process Comm, and without any.
#include "cleave/discover.hpp"
#include "machine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace cleave {
namespace {

TEST(DiscoverInProcess, SeesEveryThreadAsARank) {
  for (const int ranks : {1, 3})
    Comm::in_process(ranks, [ranks](Comm& comm) {
      const Layout layout = discover(comm, 2);
      EXPECT_EQ(std::ssize(layout.ranks()), ranks);
      EXPECT_EQ(layout.workers(), 2 * ranks);
      EXPECT_EQ(layout.ranks()[static_cast<std::size_t>(comm.rank())].cpus, affinity_mask());
    });
}

TEST(DiscoverInProcess, SharesTheCoresOut) {
  Comm::in_process(2, [](Comm& comm) {
    const Layout layout = discover(comm);
    EXPECT_LE(layout.workers(), std::max(2, layout.usable_cores(0)));
  });
}

TEST(DiscoverHere, SeesOneRankWithAllItsCores) {
  const Layout here = discover_here();
  ASSERT_EQ(here.ranks().size(), 1U);
  ASSERT_EQ(here.nodes().size(), 1U);
  EXPECT_EQ(here.ranks().front().cpus, affinity_mask());
  EXPECT_EQ(here.ranks().front().pid, getpid());
  EXPECT_FALSE(here.nodes().front().name.empty());
  EXPECT_FALSE(here.oversubscribed());
  EXPECT_EQ(discover_here(3).workers(), 3);
  EXPECT_THROW((void)discover_here(-1), Error);
}

} // namespace
} // namespace cleave
