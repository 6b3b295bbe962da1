/// @file
/// Numbers, points and series in the words of a report.
#pragma once

#include "cleave/report.hpp"

#include <string>
#include <string_view>

namespace cleave::report {

/// The unit in which a report tells times, by its longest.
struct TimeUnit {
  double per_second = 1;
  const char* name = "s";
};
[[nodiscard]] TimeUnit unit_for(double longest_s) noexcept;
/// That of all points together.
[[nodiscard]] TimeUnit unit_of(const Results& results);

/// With so many significant digits, no exponent for what people call a number, "-" for NaN.
[[nodiscard]] std::string number(double value, int digits = 3);
/// "12.35 [12.21, 12.50]": as many digits as the interval bears, "12.3" without one.
[[nodiscard]] std::string with_interval(const Estimate& estimate, double factor = 1);
/// "12.35 s [12.21, 12.50]".
[[nodiscard]] std::string time_text(const Estimate& time_s);
/// "38 %".
[[nodiscard]] std::string percent(double share, int digits = 2);
/// "1 rank", "2 ranks".
[[nodiscard]] std::string counted(std::int64_t count, std::string_view what);

/// "2x4", with the nodes in front where there are several: "2n 8x4".
[[nodiscard]] std::string short_layout(const PointKey& key);
/// What tells a row from the others of its series: its layout, or its schedule.
[[nodiscard]] std::string row_label(const Report& report, const StudyRow& row);
[[nodiscard]] const Point& point_of(const Report& report, const StudyRow& row);
/// "12 samples", or "no interval at n=5".
[[nodiscard]] std::string sample_text(const Point& point);
/// Notes on a point: over-subscribed, superlinear, unverified, base. In words.
[[nodiscard]] std::vector<std::string> notes_on(const Series& series, std::size_t row,
                                                const Results& results, StudyMode mode);
/// Why the point may be superlinear, as far as the data can tell.
[[nodiscard]] std::string superlinear_reason(const Results& results, const Series& series,
                                             const StudyRow& row);

/// Whether points differ in a choice at one number of workers, not in their number.
[[nodiscard]] bool is_choice(StudyMode mode) noexcept;
/// Whether times moved with time, by more than chance and enough to matter.
[[nodiscard]] bool drifts(const StudyTable& table) noexcept;

/// The points of all series with their rows, series by series.
template <class Visit>
void each_row(const StudyTable& table, Visit visit) {
  for (const Series& series : table.series)
    for (std::size_t row = 0; row < series.rows.size(); ++row)
      visit(series, row);
}

/// The measured point with the most workers; of those the least balanced or, where points are
/// choices, the fastest. Nothing without samples.
[[nodiscard]] std::optional<std::size_t> largest_point(const Results& results, StudyMode mode);

} // namespace cleave::report
