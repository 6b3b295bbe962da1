#include "cleave/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace cleave {
namespace {

/// 1, 2, ..., n shuffled: x(k) is k.
std::vector<double> ranks_shuffled(int n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), 1.0);
  std::ranges::shuffle(values, std::mt19937(7));
  return values;
}

TEST(Median, IsTheMiddleOrTheMeanOfBoth) {
  EXPECT_TRUE(std::isnan(median({})));
  EXPECT_EQ(median(std::vector{3.0}), 3);
  EXPECT_EQ(median(std::vector{3.0, 1.0, 2.0}), 2);
  EXPECT_EQ(median(std::vector{4.0, 1.0, 2.0, 3.0}), 2.5);
}

// docs/timings-format.md, "Summaries".
TEST(MedianInterval, MatchesTheTableAt95Percent) {
  for (const auto& [n, lo, hi] : {std::array{6, 1, 6}, {7, 1, 7}, {10, 2, 9}, {20, 6, 15}}) {
    const auto interval = median_interval(ranks_shuffled(n));
    ASSERT_TRUE(interval) << n;
    EXPECT_EQ(interval->lo, lo) << n;
    EXPECT_EQ(interval->hi, hi) << n;
  }
}

TEST(MedianInterval, NeedsEnoughValues) {
  for (int n = 0; n <= 5; ++n)
    EXPECT_FALSE(median_interval(ranks_shuffled(n))) << n;
  EXPECT_FALSE(median_interval(ranks_shuffled(7), 0.99));
  EXPECT_TRUE(median_interval(ranks_shuffled(8), 0.99));
  EXPECT_TRUE(median_interval(ranks_shuffled(2), 0.5));
}

TEST(MedianInterval, IsTheNarrowestThatCoversEnough) {
  for (int n = 6; n <= 300; ++n) {
    const Interval interval = median_interval(ranks_shuffled(n)).value();
    const auto below = [n](int k) { // P(Bin(n, 1/2) <= k)
      double sum = 0;
      for (int i = 0; i <= k; ++i)
        sum += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) -
                        n * std::log(2));
      return sum;
    };
    const int l = static_cast<int>(interval.lo);
    EXPECT_EQ(interval.hi, n + 1 - l);
    EXPECT_LE(below(l - 1), 0.025 + 1e-12) << n;
    EXPECT_GT(below(l), 0.025 - 1e-12) << n;
  }
}

TEST(Imbalance, IsTheExcessOfTheLargestOverTheMean) {
  EXPECT_EQ(imbalance_percent({}), 0);
  EXPECT_EQ(imbalance_percent(std::vector{0.0, 0.0}), 0);
  EXPECT_EQ(imbalance_percent(std::vector{2.0, 2.0}), 0);
  EXPECT_DOUBLE_EQ(imbalance_percent(std::vector{1.0, 3.0}), 50);
}

} // namespace
} // namespace cleave
