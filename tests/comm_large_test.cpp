// More than 2^31 bytes, really gathered.
#include "cleave/comm.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <vector>

namespace cleave {
namespace {

std::uint64_t value_at(std::size_t i) {
  return i * 0x9E3779B97F4A7C15; // differs in every word, and in the words 2^31 bytes apart
}

TEST(CommLarge, GathersAndScatters2GiB) {
  const Comm comm(MPI_COMM_WORLD);
  constexpr std::int64_t count = std::int64_t{2'362'232'013} / 8; // 2.2 GiB
  static_assert(count * 8 > std::int64_t{1} << 31);
  std::vector<Part> parts(static_cast<std::size_t>(comm.size()), Part{0, 0});
  parts.back() = {3, count};
  std::vector<std::uint64_t> mine(static_cast<std::size_t>(parts[comm.rank() > 0 ? 1 : 0].count));
  for (std::size_t i = 0; i < mine.size(); ++i)
    mine[i] = value_at(i);
  std::vector<std::uint64_t> all(comm.is_root() ? count + 4 : 0);
  comm.gatherv<std::uint64_t>(mine, parts, all);
  std::size_t wrong = 0;
  for (std::size_t i = 3; i + 1 < all.size(); ++i)
    wrong += all[i] == value_at(i - 3) ? 0 : 1;
  EXPECT_EQ(wrong, 0U);
  if (comm.is_root()) {
    EXPECT_EQ(all.front(), 0U);
    EXPECT_EQ(all.back(), 0U);
  }
  // And back again, in place of what was there.
  std::ranges::fill(mine, 0);
  comm.scatterv<std::uint64_t>(all, parts, mine);
  for (std::size_t i = 0; i < mine.size(); ++i)
    wrong += mine[i] == value_at(i) ? 0 : 1;
  EXPECT_EQ(wrong, 0U);
}

} // namespace
} // namespace cleave
