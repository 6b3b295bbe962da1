// Figures of what can be chosen at the same cost: layouts and schedules.
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace cleave::report {
namespace {

constexpr std::size_t most_points_named = 24;
constexpr std::size_t most_cells = 400;

/// Light for short to dark for long: one hue, readable without colour.
std::uint32_t shade(double share) {
  constexpr double light[] = {222, 235, 247};
  constexpr double dark[] = {8, 81, 156};
  std::uint32_t colour = 0;
  for (int i = 0; i < 3; ++i)
    colour = colour << 8U |
             static_cast<std::uint32_t>(std::lround(light[i] + (dark[i] - light[i]) * share));
  return colour;
}

/// Times by two names, such as ranks and threads.
struct Cells {
  std::map<std::pair<int, int>, const StudyRow*> best; ///< by column and row of the map
  std::vector<std::string> columns;
  std::vector<std::string> rows;

  void add(int column, int row, const StudyRow& study_row, const Report& report) {
    const StudyRow*& kept = best[{column, row}];
    const auto time = [&](const StudyRow& r) { return point_of(report, r).time_s().value; };
    if (kept == nullptr || time(study_row) < time(*kept))
      kept = &study_row;
  }
};

/// The number of `name` in `names`, where it is added when it is new.
int place_in(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end())
    names.push_back(name);
  return static_cast<int>(found - names.begin());
}

Figure heat_map(const Report& report, const Cells& cells, Figure figure) {
  const TimeUnit unit = unit_of(report.results);
  double least = INFINITY;
  double most = 0;
  for (const auto& [at, row] : cells.best) {
    const double time = point_of(report, *row).time_s().value;
    least = std::min(least, time);
    most = std::max(most, time);
  }
  Curve curve{.stroke = Stroke::boxes};
  for (const auto& [at, row] : cells.best) {
    const double time = point_of(report, *row).time_s().value;
    const double x = at.first;
    const double y = at.second;
    const double share = most > least ? std::log(time / least) / std::log(most / least) : 0;
    curve.marks.push_back({.x = x,
                           .y = y,
                           .x_span = Interval{x - 0.48, x + 0.48},
                           .y_span = Interval{y - 0.47, y + 0.47},
                           .tip = tip_of(report, *row),
                           .label = number(time * unit.per_second, 3),
                           .colour = shade(share)});
  }
  figure.x = name_axis(figure.x.label, cells.columns);
  figure.y = name_axis(figure.y.label, cells.rows);
  figure.x.range = {-0.52, static_cast<double>(cells.columns.size()) - 0.48};
  figure.y.range = {-0.52, static_cast<double>(cells.rows.size()) - 0.48};
  figure.caption += fmt::format("Median time in {}, darker is longer; the best where a cell has "
                                "several points. ",
                                unit.name);
  figure.curves = {std::move(curve)};
  return figure;
}

std::vector<int> sorted(std::vector<int> values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

void add_layouts(const Report& report, std::vector<Figure>& figures) {
  std::vector<int> ranks;
  std::vector<int> threads;
  for (const Point& point : report.results.points)
    if (!point.samples.empty()) {
      ranks.push_back(point.key.ranks);
      threads.push_back(point.key.threads);
    }
  ranks = sorted(std::move(ranks));
  threads = sorted(std::move(threads));
  if (ranks.size() < 2 || threads.size() < 2 || ranks.size() * threads.size() > most_cells)
    return;
  Cells cells;
  for (const int count : ranks)
    cells.columns.push_back(std::to_string(count));
  for (const int count : threads)
    cells.rows.push_back(std::to_string(count));
  const auto place = [](const std::vector<int>& values, int value) {
    return static_cast<int>(std::ranges::lower_bound(values, value) - values.begin());
  };
  each_row(report.table, [&](const Series& series, std::size_t row) {
    const Point& point = point_of(report, series.rows[row]);
    if (!point.samples.empty())
      cells.add(place(ranks, point.key.ranks), place(threads, point.key.threads), series.rows[row],
                report);
  });
  figures.push_back(heat_map(report, cells,
                             {.name = "layouts",
                              .title = "Layouts",
                              .caption = {},
                              .x = {.label = "ranks"},
                              .y = {.label = "threads of a rank"},
                              .curves = {}}));
}

void add_schedule_map(const Report& report, std::vector<Figure>& figures) {
  Cells cells;
  each_row(report.table, [&](const Series& series, std::size_t row) {
    const Point& point = point_of(report, series.rows[row]);
    if (point.samples.empty())
      return;
    const int column = place_in(cells.columns, short_layout(point.key));
    cells.add(column, place_in(cells.rows, point.key.schedule), series.rows[row], report);
  });
  if (cells.columns.size() < 2 || cells.rows.size() < 2 ||
      cells.columns.size() * cells.rows.size() > most_cells)
    return;
  figures.push_back(heat_map(report, cells,
                             {.name = "schedules",
                              .title = "Schedules",
                              .caption = {},
                              .x = {.label = "ranks × threads"},
                              .y = {.label = ""},
                              .curves = {}}));
}

/// Time of every choice, with its interval, where there is no number to plot it against.
void add_times(const Report& report, std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<ShownRow> rows = shown_rows(report, most_points_named, left_out);
  if (rows.empty())
    return;
  const TimeUnit unit = unit_of(report.results);
  Curve verified{.stroke = Stroke::points};
  Curve unverified{.label = "unverified", .colour = 1, .hollow = true};
  std::vector<std::string> names;
  Interval extent{INFINITY, 0};
  for (const ShownRow& shown : rows) {
    const StudyRow& row = shown.series->rows[shown.row];
    const Point& point = point_of(report, row);
    const Estimate time = point.time_s();
    Mark mark{.x = static_cast<double>(names.size()),
              .y = time.value * unit.per_second,
              .tip = tip_of(report, row)};
    if (time.interval)
      mark.y_span =
          Interval{time.interval->lo * unit.per_second, time.interval->hi * unit.per_second};
    extent.lo = std::min(extent.lo, mark.y_span ? mark.y_span->lo : mark.y);
    extent.hi = std::max(extent.hi, mark.y_span ? mark.y_span->hi : mark.y);
    (point.verified() ? verified : unverified).marks.push_back(std::move(mark));
    names.push_back(shown.name);
  }
  Figure figure{
      .name = "time",
      .title = "Time",
      .caption = "Median wall time of each point and its interval. " + left_out,
      .x = name_axis(report.table.mode == StudyMode::schedule ? "schedule" : "ranks × threads",
                     names),
      .y = number_axis(fmt::format("time ({})", unit.name), extent, false),
      .curves = {std::move(verified), std::move(unverified)}};
  std::erase_if(figure.curves, [](const Curve& curve) { return curve.marks.empty(); });
  figures.push_back(std::move(figure));
}

} // namespace

void add_choice_figures(const Report& report, std::vector<Figure>& figures) {
  if (is_choice(report.table.mode))
    add_times(report, figures);
  add_layouts(report, figures);
  add_schedule_map(report, figures);
}

} // namespace cleave::report
