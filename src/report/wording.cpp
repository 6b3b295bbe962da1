#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace cleave::report {
namespace {

/// Digits after the point that show `value` with so many significant digits.
int decimals_for(double value, int digits) {
  if (!(std::abs(value) > 0) || !std::isfinite(value))
    return 0;
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  return std::clamp(digits - 1 - magnitude, 0, 9);
}

/// One significant digit of the interval's half width, two to four of the value.
int decimals_of(double value, const Interval& interval) {
  const int wanted = decimals_for((interval.hi - interval.lo) / 2, 1);
  return std::clamp(wanted, decimals_for(value, 2), decimals_for(value, 4));
}

double load_balance(const Point& point) {
  return point.of_samples([](const Sample& sample) { return sample.balance.load_balance; }).value;
}

} // namespace

TimeUnit unit_for(double longest_s) noexcept {
  if (longest_s >= 1 || !(longest_s > 0))
    return {1, "s"};
  return longest_s >= 1e-3 ? TimeUnit{1e3, "ms"} : TimeUnit{1e6, "us"};
}

TimeUnit unit_of(const Results& results) {
  double longest = 0;
  for (const Point& point : results.points)
    if (!point.samples.empty())
      longest = std::max(longest, point.time_s().value);
  return unit_for(longest);
}

std::string number(double value, int digits) {
  if (!std::isfinite(value))
    return "-";
  if (value != 0 && (std::abs(value) >= 1e7 || std::abs(value) < 1e-4))
    return fmt::format("{:.{}g}", value, digits);
  return fmt::format("{:.{}f}", value, decimals_for(value, digits));
}

std::string with_interval(const Estimate& estimate, double factor) {
  const double value = estimate.value * factor;
  if (!estimate.interval || !std::isfinite(value))
    return number(value);
  const Interval interval = {estimate.interval->lo * factor, estimate.interval->hi * factor};
  const int decimals = decimals_of(value, interval);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]", value, decimals, interval.lo, decimals,
                     interval.hi, decimals);
}

std::string time_text(const Estimate& time_s) {
  const TimeUnit unit = unit_for(time_s.value);
  const std::string text = with_interval(time_s, unit.per_second);
  const std::size_t end = std::min(text.find(' '), text.size());
  return text.substr(0, end) + " " + unit.name + text.substr(end);
}

std::string percent(double share, int digits) {
  return number(100 * share, digits) + " %";
}

std::string counted(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string short_layout(const PointKey& key) {
  const std::string inside = fmt::format("{}\u00d7{}", key.ranks, key.threads);
  return key.nodes > 1 ? fmt::format("{}n {}", key.nodes, inside) : inside;
}

const Point& point_of(const Report& report, const StudyRow& row) {
  return report.results.points[row.point];
}

std::string row_label(const Report& report, const StudyRow& row) {
  const PointKey& key = point_of(report, row).key;
  return report.table.mode == StudyMode::schedule ? key.schedule : short_layout(key);
}

std::string sample_text(const Point& point) {
  if (point.samples.empty())
    return "no samples";
  if (!point.time_s().interval)
    return fmt::format("no interval at n={}", point.samples.size());
  return counted(static_cast<std::int64_t>(point.samples.size()), "sample");
}

std::vector<std::string> notes_on(const Series& series, std::size_t row, const Results& results,
                                  StudyMode mode) {
  std::vector<std::string> notes;
  const Point& point = results.points[series.rows[row].point];
  if (series.base == row)
    notes.emplace_back("base");
  if (point.samples.empty())
    notes.emplace_back("no completed repetition");
  else if (!point.verified())
    notes.emplace_back("unverified");
  if (!point.samples.empty() && !point.time_s().interval)
    notes.push_back(fmt::format("no interval at n={}", point.samples.size()));
  if (point.oversubscribed)
    notes.emplace_back("over-subscribed");
  if (series.rows[row].superlinear && !is_choice(mode))
    notes.emplace_back("superlinear");
  if (point.wrong > 0)
    notes.push_back(counted(point.wrong, "wrong answer"));
  if (point.interrupted > 0)
    notes.push_back(fmt::format("{} cut short", point.interrupted));
  return notes;
}

std::string superlinear_reason(const Results& results, const Series& series, const StudyRow& row) {
  const Point& point = results.points[row.point];
  const Point& base = results.points[series.rows[*series.base].point];
  if (std::abs(point.work - base.work) > 1e-9 * base.work)
    return fmt::format("its work differs from the base's: {} against {} {}", number(point.work, 4),
                       number(base.work, 4), base.work_unit);
  if (base.oversubscribed)
    return "its base is over-subscribed";
  const auto governor = results.facts.find("governor");
  const bool fixed = governor != results.facts.end() && governor->second == "performance";
  return fmt::format(
      "its work is the base's and it has cores enough, so a part per core may now fit "
      "into its cache{}: if it is the cache, a larger size takes it away",
      fixed ? "" : ", or clocks may differ (the governor is not \"performance\")");
}

bool is_choice(StudyMode mode) noexcept {
  return mode == StudyMode::layout || mode == StudyMode::schedule;
}

bool drifts(const StudyTable& table) noexcept {
  return table.drift_p < 0.05 && std::abs(table.drift_percent) >= 1;
}

std::optional<std::size_t> largest_point(const Results& results, StudyMode mode) {
  std::optional<std::size_t> found;
  const auto before = [&](const Point& a, const Point& b) {
    if (a.workers != b.workers)
      return a.workers > b.workers;
    return is_choice(mode) ? a.time_s().value < b.time_s().value
                           : load_balance(a) < load_balance(b);
  };
  for (std::size_t i = 0; i < results.points.size(); ++i)
    if (!results.points[i].samples.empty() &&
        (!found || before(results.points[i], results.points[*found])))
      found = i;
  return found;
}

} // namespace cleave::report
