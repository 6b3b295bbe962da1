// Memory at root does not grow with the number of tasks. A program of its own: a peak never falls.
#include "cleave/pool.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <fstream>
#include <string>

namespace cleave {
namespace {

/// The most memory that this process has ever held, in KiB.
std::int64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::int64_t kib = 0; word == "VmHWM:" && status >> kib)
      return kib;
  return -1;
}

TEST(PoolMemory, DoesNotGrowWithTheNumberOfTasks) {
  Pool pool(MPI_COMM_WORLD, PoolOptions{.threads = 1});
  const auto count_even = [&pool](std::int64_t n) {
    return pool.map_reduce([](std::int64_t i) { return (i + 1) % 2; }, n, std::plus<>(),
                           std::int64_t{0});
  };
  EXPECT_EQ(count_even(1'000'000), 500'000);
  const std::int64_t before = peak_kib();
  EXPECT_EQ(count_even(1'000'000'000), 500'000'000);
  const std::int64_t after = peak_kib();
  EXPECT_GT(before, 0);
  EXPECT_LT(after - before, 5 * 1024) << before << " KiB, then " << after << " KiB";
}

} // namespace
} // namespace cleave
