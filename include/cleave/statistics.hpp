/// @file
/// Medians with exact intervals, rank tests, and imbalance. Pure arithmetic.
#pragma once

#include <optional>
#include <span>

namespace cleave {

/// A closed interval.
struct Interval {
  double lo = 0;
  double hi = 0;
};

/// The median of `values` (any order, any unit). NaN when empty. Local, thread-safe, O(n log n).
[[nodiscard]] double median(std::span<const double> values);

/// The exact order-statistic confidence interval of the median: with x sorted, the largest l with
/// P(Bin(n, 1/2) <= l-1) <= (1-confidence)/2 gives [x(l), x(n+1-l)]. Nothing when n is too small
/// for the confidence (n < 6 at 95 %). Hettmansperger & Sheather 1986,
/// doi:10.1016/0167-7152(86)90021-0.
[[nodiscard]] std::optional<Interval> median_interval(std::span<const double> values,
                                                      double confidence = 0.95);

/// The two-sided p-value of the Mann-Whitney U test that a and b are of one distribution: exact for
/// up to 2,500 pairs without ties, else by the normal distribution with corrections for ties and
/// continuity. 1 when either is empty. Mann & Whitney 1947, doi:10.1214/aoms/1177730491. Local,
/// thread-safe, O(n log n + pairs x smaller).
[[nodiscard]] double mann_whitney_p(std::span<const double> a, std::span<const double> b);

/// How far b lies beyond a, and an interval where there are values enough.
struct Shift {
  double value = 0;
  std::optional<Interval> interval{};
};
/// The Hodges-Lehmann estimate, the median of b[j] - a[i], with the interval that the U test gives:
/// exact as above. NaN when either is empty. Hodges & Lehmann 1963, doi:10.1214/aoms/1177704172.
/// Local, thread-safe, O(pairs log pairs).
[[nodiscard]] Shift hodges_lehmann(std::span<const double> a, std::span<const double> b,
                                   double confidence = 0.95);

/// The two-sided p-value of the Mann-Kendall test that values in time order have no trend: exact
/// for up to 100 without ties, else by the normal distribution. 1 when there are fewer than 3. Mann
/// 1945, doi:10.2307/1907187. Local, thread-safe, O(n log n).
[[nodiscard]] double trend_p(std::span<const double> values);

/// (max/mean - 1) * 100 in percent; 0 when empty or all zero.
[[nodiscard]] double imbalance_percent(std::span<const double> values);

} // namespace cleave
