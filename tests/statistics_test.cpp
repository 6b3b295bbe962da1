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

/// first, first + 1, ...
std::vector<double> counting(int n, double first = 1) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.begin(), values.end(), first);
  return values;
}

// a, then b of which `inside` values stand below all of a: U = inside x n.
TEST(MannWhitney, MatchesPublishedProbabilities) {
  // P(U <= 0) = 1 / C(n+m, n).
  EXPECT_NEAR(mann_whitney_p(counting(4), counting(4, 5)), 2.0 / 70, 1e-14);
  EXPECT_NEAR(mann_whitney_p(counting(5), counting(3, 6)), 2.0 / 56, 1e-14);
  // U = 2 of 5 and 5: 4 of 252 arrangements have at most 2.
  EXPECT_NEAR(
      mann_whitney_p(std::vector{1.0, 2.0, 3.0, 4.0, 7.0}, std::vector{5.0, 6.0, 8.0, 9.0, 10.0}),
      2 * 4.0 / 252, 1e-14);
  EXPECT_EQ(mann_whitney_p({}, counting(3)), 1);
  EXPECT_EQ(mann_whitney_p(counting(1), counting(1)), 1);
  EXPECT_EQ(mann_whitney_p(std::vector{1.0, 1.0}, std::vector{1.0, 1.0}), 1);
}

/// Values of n and m that have this U.
double p_at(int n, int m, int u) {
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < n; ++i) // each of a beats as many of b as are left, m at most
    a.push_back(2 * std::min(u - std::min(u, i * m), m));
  for (int j = 0; j < m; ++j)
    b.push_back(2 * j + 1);
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] += 0.01 * static_cast<double>(i);
  return mann_whitney_p(a, b);
}

// Mann & Whitney's critical values at 5 %, two-sided.
TEST(MannWhitney, MatchesTheTableOfCriticalValues) {
  for (const auto& [n, m, critical] : {std::array{4, 4, 0},
                                       {5, 5, 2},
                                       {5, 8, 6},
                                       {6, 6, 5},
                                       {7, 9, 12},
                                       {8, 8, 13},
                                       {10, 10, 23},
                                       {12, 15, 49},
                                       {15, 15, 64},
                                       {20, 20, 127}}) {
    EXPECT_LE(p_at(n, m, critical), 0.05) << n << " " << m;
    EXPECT_GT(p_at(n, m, critical + 1), 0.05) << n << " " << m;
  }
}

TEST(MannWhitney, NormalAndExactAgreeWhereTheyMeet) {
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  std::vector<double> a(50);
  std::vector<double> b(50);
  for (double& value : a)
    value = normal(random);
  for (double& value : b)
    value = normal(random) + 0.4;
  const double exact = mann_whitney_p(a, b);
  b.push_back(0.4);
  EXPECT_NEAR(mann_whitney_p(a, b), exact, 0.15 * exact);
  EXPECT_EQ(mann_whitney_p(a, b), mann_whitney_p(b, a));
}

TEST(HodgesLehmann, IsTheMedianDifference) {
  const Shift shift = hodges_lehmann(counting(5), counting(5, 11));
  EXPECT_EQ(shift.value, 10);
  ASSERT_TRUE(shift.interval); // the third and the 23rd of 25 differences
  EXPECT_EQ(shift.interval->lo, 7);
  EXPECT_EQ(shift.interval->hi, 13);
  EXPECT_FALSE(hodges_lehmann(counting(3), counting(3)).interval);
  EXPECT_TRUE(std::isnan(hodges_lehmann({}, counting(3)).value));
}

TEST(HodgesLehmann, TheIntervalLeavesOutZeroWhereTheTestDiffers) {
  std::mt19937 random(11);
  std::normal_distribution<double> normal;
  for (int time = 0; time < 200; ++time) {
    std::vector<double> a(static_cast<std::size_t>(5 + time % 20));
    std::vector<double> b(12);
    for (double& value : a)
      value = normal(random);
    for (double& value : b)
      value = normal(random) + 0.8;
    const Shift shift = hodges_lehmann(a, b);
    const Interval interval = shift.interval.value();
    EXPECT_EQ(interval.lo > 0 || interval.hi < 0, mann_whitney_p(a, b) <= 0.05);
    EXPECT_LE(interval.lo, shift.value);
    EXPECT_LE(shift.value, interval.hi);
  }
}

TEST(Trend, MatchesPublishedProbabilities) {
  EXPECT_NEAR(trend_p(counting(4)), 2.0 / 24, 1e-14);
  EXPECT_NEAR(trend_p(std::vector{4.0, 3.0, 2.0, 1.0}), 2.0 / 24, 1e-14);
  EXPECT_NEAR(trend_p(std::vector{2.0, 1.0, 3.0, 4.0}), 2 * 4.0 / 24, 1e-14); // one inversion
  EXPECT_EQ(trend_p(counting(2)), 1);
  EXPECT_EQ(trend_p(std::vector{1.0, 1.0, 1.0, 1.0}), 1);
  EXPECT_LT(trend_p(counting(200)), 1e-50);
  EXPECT_GT(trend_p(ranks_shuffled(60)), 0.05);
  // Kendall's critical value for n = 10 at 5 %: |S| = 23, that is 11 inversions.
  std::vector<double> ten = counting(10);
  std::ranges::rotate(ten, ten.begin() + 9); // 9 inversions
  EXPECT_LE(trend_p(ten), 0.05);
  std::swap(ten[1], ten[2]);
  std::swap(ten[3], ten[4]);
  EXPECT_LE(trend_p(ten), 0.05); // 11
  std::swap(ten[5], ten[6]);
  EXPECT_GT(trend_p(ten), 0.05); // 12
}

TEST(RankTests, DoNotDependOnUnitsOrOrder) {
  std::vector<double> a = ranks_shuffled(9);
  std::vector<double> b = counting(7, 4.5);
  const double p = mann_whitney_p(a, b);
  const Shift shift = hodges_lehmann(a, b);
  for (double& value : a)
    value *= 1000;
  for (double& value : b)
    value *= 1000;
  std::ranges::reverse(a);
  EXPECT_EQ(mann_whitney_p(a, b), p);
  EXPECT_DOUBLE_EQ(hodges_lehmann(a, b).value, 1000 * shift.value);
  EXPECT_DOUBLE_EQ(hodges_lehmann(a, b).interval->lo, 1000 * shift.interval->lo);
}

TEST(Imbalance, IsTheExcessOfTheLargestOverTheMean) {
  EXPECT_EQ(imbalance_percent({}), 0);
  EXPECT_EQ(imbalance_percent(std::vector{0.0, 0.0}), 0);
  EXPECT_EQ(imbalance_percent(std::vector{2.0, 2.0}), 0);
  EXPECT_DOUBLE_EQ(imbalance_percent(std::vector{1.0, 3.0}), 50);
}

} // namespace
} // namespace cleave
