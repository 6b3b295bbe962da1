/// @file
/// Whether one set of runs is faster than another, point by point: never a difference that the
/// repetitions do not show, and never "the same".
#pragma once

#include "cleave/results.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What two sets, or the files of one, may differ in.
struct Difference {
  std::string fact;
  std::string base;
  std::string now;
  bool breaks = false; ///< times cannot be compared then
};

/// What the repetitions say.
enum class Change { faster, slower, undecided };
/// "faster", "slower" or "undecided".
[[nodiscard]] const char* name(Change change) noexcept;

/// A point of both sets.
struct PointComparison {
  PointKey key;
  std::size_t base_n = 0;
  std::size_t now_n = 0;
  Estimate base_s; ///< median and interval
  Estimate now_s;
  Shift shift_s; ///< how much later the new ones end
  double p = 1;  ///< of the U test
  int wrong = 0; ///< repetitions of both with a wrong answer, which have no time
  Change change = Change::undecided;
  bool beyond = false; ///< slower, and the shift is more than the threshold
};

/// What `cleave compare` tells.
struct Comparison {
  std::vector<Difference> differences; ///< those that break comparability first
  std::vector<PointComparison> points; ///< in the order of their keys
  std::vector<PointKey> base_only;
  std::vector<PointKey> now_only;

  [[nodiscard]] bool comparable() const;
};

/// Disjoint intervals of the medians: different; else different where the U test says so at 5 %;
/// else undecided. Pure.
/// @param threshold share of the base's median, such as 0.02
[[nodiscard]] PointComparison compare_times(std::span<const double> base,
                                            std::span<const double> now, double threshold);

/// All points that both have; of one point each, of the same job, those two, whatever their layouts
/// and schedules. Pure.
[[nodiscard]] Comparison compare(const Results& base, const Results& now, double threshold);

} // namespace cleave
