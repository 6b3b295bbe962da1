/// @file
/// Medians with exact intervals, and imbalance. Pure arithmetic.
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

/// (max/mean - 1) * 100 in percent; 0 when empty or all zero.
[[nodiscard]] double imbalance_percent(std::span<const double> values);

} // namespace cleave
