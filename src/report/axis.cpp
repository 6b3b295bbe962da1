#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace cleave::report {
namespace {

std::string tick_text(double value) {
  std::string text = fmt::format("{:.6g}", value);
  return text == "-0" ? "0" : text;
}

/// 1, 2 or 5 times a power of ten, the least that is not below `wanted`.
double round_step(double wanted) {
  const double power = std::pow(10, std::floor(std::log10(wanted)));
  for (const double step : {1.0, 2.0, 5.0})
    if (step * power >= wanted * (1 - 1e-9))
      return step * power;
  return 10 * power;
}

void add_linear_ticks(FigureAxis& axis) {
  const double step = round_step((axis.range.hi - axis.range.lo) / 6);
  for (double at = std::ceil(axis.range.lo / step - 1e-9); at * step <= axis.range.hi * (1 + 1e-9);
       ++at)
    axis.ticks.emplace_back(at * step, tick_text(at * step));
}

void add_logarithmic_ticks(FigureAxis& axis) {
  const double decades = std::log10(axis.range.hi / axis.range.lo);
  for (int power = static_cast<int>(std::floor(std::log10(axis.range.lo)));; ++power) {
    const double ten = std::pow(10, power);
    if (ten > axis.range.hi)
      break;
    for (const double digit : {1.0, 2.0, 5.0})
      if (digit * ten >= axis.range.lo && digit * ten <= axis.range.hi &&
          (digit == 1.0 || decades < 3))
        axis.ticks.emplace_back(digit * ten, tick_text(digit * ten));
  }
}

} // namespace

FigureAxis number_axis(std::string label, Interval data, bool logarithmic) {
  FigureAxis axis{.label = std::move(label)};
  axis.logarithmic = logarithmic && data.lo > 0 && data.hi / data.lo >= 3;
  if (axis.logarithmic) {
    axis.range = {data.lo / 1.15, data.hi * 1.15};
    add_logarithmic_ticks(axis);
    return axis;
  }
  const double largest = std::max(std::abs(data.lo), std::abs(data.hi));
  const bool flat = data.hi - data.lo <= 1e-6 * largest;
  const double room = !flat ? 0.06 * (data.hi - data.lo) : largest > 0 ? 0.1 * largest : 1;
  axis.range = {data.lo == 0 && !flat ? 0 : data.lo - room,
                data.hi == 0 && !flat ? 0 : data.hi + room};
  add_linear_ticks(axis);
  return axis;
}

FigureAxis name_axis(std::string label, const std::vector<std::string>& names) {
  FigureAxis axis{.label = std::move(label)};
  axis.range = {-0.6, static_cast<double>(names.size()) - 0.4};
  for (std::size_t i = 0; i < names.size(); ++i)
    axis.ticks.emplace_back(static_cast<double>(i), names[i]);
  return axis;
}

FigureAxis worker_axis(const std::vector<double>& workers) {
  FigureAxis axis{.label = "workers (ranks × threads)"};
  const std::set<double> values(workers.begin(), workers.end());
  if (values.empty())
    return axis;
  const double least = *values.begin();
  const double most = *values.rbegin();
  axis.logarithmic = most / least >= 4;
  const double room = std::max(0.05 * (most - least), 0.1);
  axis.range =
      axis.logarithmic ? Interval{least / 1.15, most * 1.15} : Interval{least - room, most + room};
  double last = -1;
  for (const double value : values) { // those that have room
    const double place = place_on(axis, value);
    if (place - last < 0.055)
      continue;
    last = place;
    axis.ticks.emplace_back(value, tick_text(value));
  }
  return axis;
}

double place_on(const FigureAxis& axis, double value) noexcept {
  const auto along = [&](double x) { return axis.logarithmic ? std::log(x) : x; };
  return (along(value) - along(axis.range.lo)) / (along(axis.range.hi) - along(axis.range.lo));
}

std::vector<ShownRow> shown_rows(const Report& report, std::size_t most, std::string& left_out) {
  std::vector<ShownRow> rows;
  each_row(report.table, [&](const Series& series, std::size_t row) {
    if (point_of(report, series.rows[row]).samples.empty())
      return;
    std::string name = row_label(report, series.rows[row]);
    if (report.table.series.size() > 1 && !series.label.empty())
      name = series.label + " " + name;
    rows.push_back({&series, row, std::move(name)});
  });
  if (rows.size() <= most)
    return rows;
  left_out = fmt::format("{} of {} points are shown; all are in the table. ", most, rows.size());
  std::vector<ShownRow> some;
  for (std::size_t i = 0; i < most; ++i)
    some.push_back(rows[i * (rows.size() - 1) / (most - 1)]);
  return some;
}

std::string tip_of(const Report& report, const StudyRow& row) {
  const Point& point = point_of(report, row);
  std::string tip =
      fmt::format("{}: {}, {}", point.layout_text(), time_text(point.time_s()), sample_text(point));
  if (report.table.mode == StudyMode::schedule)
    tip = point.key.schedule + ", " + tip;
  return tip;
}

} // namespace cleave::report
