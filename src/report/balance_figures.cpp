// Figures of where the time went: factors, phases, loads and repetitions.
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace cleave::report {
namespace {

constexpr std::size_t most_names = 20;
constexpr std::size_t most_bars = 512;
constexpr double slightly = 0.42; ///< half the width of a bar

std::vector<std::string> names_of(const std::vector<ShownRow>& rows) {
  std::vector<std::string> names;
  for (const ShownRow& row : rows)
    names.push_back(row.name);
  return names;
}

const Point& point_of_row(const Report& report, const ShownRow& shown) {
  return point_of(report, shown.series->rows[shown.row]);
}

const char* what_names_are(const Report& report) {
  return report.table.mode == StudyMode::schedule ? "schedule" : "ranks × threads";
}

Mark bar(double x, double from, double to, std::string tip) {
  return {.x = x,
          .y = to,
          .x_span = Interval{x - slightly, x + slightly},
          .y_span = Interval{from, to},
          .tip = std::move(tip)};
}

void add_factors(const Report& report, std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<ShownRow> rows = shown_rows(report, most_names, left_out);
  struct Factor {
    const char* label;
    double Balance::*member;
  };
  constexpr std::array factors = {Factor{"load balance LB", &Balance::load_balance},
                                  Factor{"communication CE", &Balance::communication},
                                  Factor{"both PE", &Balance::parallel_efficiency}};
  Figure figure{.name = "balance",
                .title = "Parallel efficiency and its factors",
                .caption = "PE = LB CE, with LB = mean/max of the ranks' busy times and CE = "
                           "max/time; shares of the cores' time, medians. " +
                           left_out,
                .x = name_axis(what_names_are(report), names_of(rows)),
                .y = number_axis("share of the cores' time", {0, 1}, false),
                .curves = {}};
  int colour = 0;
  for (const Factor& factor : factors) {
    Curve curve{.label = factor.label, .stroke = Stroke::points, .colour = colour++};
    const double aside = 0.16 * (colour - 2);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Point& point = point_of_row(report, rows[i]);
      const Estimate found =
          point.of_samples([&](const Sample& s) { return s.balance.*factor.member; });
      curve.marks.push_back({.x = static_cast<double>(i) + aside,
                             .y = found.value,
                             .y_span = found.interval,
                             .tip = fmt::format("{}: {} {}", point.layout_text(), factor.label,
                                                with_interval(found))});
    }
    figure.curves.push_back(std::move(curve));
  }
  figures.push_back(std::move(figure));
}

void add_phases(const Report& report, std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<ShownRow> rows = shown_rows(report, most_names, left_out);
  constexpr std::array shown = {Phase::compute, Phase::scatter, Phase::gather, Phase::wait};
  constexpr std::array colours = {0, 5, 2, 1};
  Figure figure{.name = "phases",
                .title = "Where time went",
                .caption = "Shares of the wall time, mean over ranks and repetitions. " + left_out,
                .x = name_axis(what_names_are(report), names_of(rows)),
                .y = number_axis("share of the time (%)", {0, 100}, false),
                .curves = {}};
  std::vector<double> top(rows.size(), 0);
  for (std::size_t k = 0; k < shown.size(); ++k) {
    const auto phase = static_cast<std::size_t>(shown[k]);
    Curve curve{.label = phase_names[phase], .stroke = Stroke::boxes, .colour = colours[k]};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Point& point = point_of_row(report, rows[i]);
      double spent = 0;
      double whole = 0;
      for (const Sample& sample : point.samples) {
        spent += std::isfinite(sample.phase_s[phase]) ? sample.phase_s[phase] : 0;
        whole += sample.wall_s;
      }
      const double share = 100 * spent / whole;
      curve.marks.push_back(bar(
          static_cast<double>(i), top[i], top[i] + share,
          fmt::format("{}: {} {} %", point.layout_text(), phase_names[phase], number(share, 2))));
      top[i] += share;
    }
    figure.curves.push_back(std::move(curve));
  }
  figures.push_back(std::move(figure));
}

/// One worker's busy time, and who it is.
struct WorkerLoad {
  double busy_s = 0;
  const RankLoad* rank = nullptr;
  std::size_t thread = 0;
};

std::vector<WorkerLoad> sorted_loads(const Point& point) {
  std::vector<WorkerLoad> loads;
  for (const RankLoad& rank : point.loads)
    for (std::size_t thread = 0; thread < rank.thread_busy_s.size(); ++thread)
      loads.push_back({rank.thread_busy_s[thread], &rank, thread});
  std::ranges::stable_sort(loads, std::greater<>{}, &WorkerLoad::busy_s);
  return loads;
}

void add_loads(const Point& point, std::vector<Figure>& figures) {
  const std::vector<WorkerLoad> loads = sorted_loads(point);
  if (loads.size() < 2)
    return;
  const TimeUnit unit = unit_for(loads.front().busy_s);
  const std::size_t shown = std::min(loads.size(), most_bars);
  Curve slowest{.label = "busiest", .stroke = Stroke::boxes, .colour = 1};
  Curve others{.label = "others", .stroke = Stroke::boxes, .colour = 0};
  double sum = 0;
  for (const WorkerLoad& load : loads)
    sum += load.busy_s;
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t at = shown < 2 ? 0 : i * (loads.size() - 1) / (shown - 1);
    const WorkerLoad& load = loads[at];
    const double x = static_cast<double>(at);
    Mark one =
        bar(x, 0, load.busy_s * unit.per_second,
            fmt::format("rank {} thread {} on {}: {} {}", load.rank->rank, load.thread,
                        load.rank->host, number(load.busy_s * unit.per_second, 4), unit.name));
    if (loads.size() > most_bars) {
      const double half = static_cast<double>(loads.size()) / static_cast<double>(shown) / 2;
      one.x_span = Interval{x - half, x + half};
    }
    (i == 0 ? slowest : others).marks.push_back(std::move(one));
  }
  const double mean = sum / static_cast<double>(loads.size()) * unit.per_second;
  const double end = static_cast<double>(loads.size()) - 0.4;
  Curve line{.label = "mean",
             .stroke = Stroke::dashes,
             .colour = -1,
             .marks = {{.x = -0.6, .y = mean}, {.x = end, .y = mean}}};
  const RankLoad& busiest = *loads.front().rank;
  FigureAxis x = name_axis("workers, busiest first", {});
  x.range = {-0.6, end};
  figures.push_back({.name = "load",
                     .title = "Load per rank and thread",
                     .caption = fmt::format(
                         "Busy time of every thread of {} in its median repetition. The "
                         "busiest is rank {}, thread {}, on {}, cores {}: {} {}, {} % over the "
                         "mean. ",
                         point.layout_text(), busiest.rank, loads.front().thread, busiest.host,
                         busiest.cpus, number(loads.front().busy_s * unit.per_second, 4), unit.name,
                         number((loads.front().busy_s * unit.per_second / mean - 1) * 100, 2)),
                     .x = std::move(x),
                     .y = number_axis(fmt::format("busy ({})", unit.name),
                                      {0, loads.front().busy_s * unit.per_second}, false),
                     .curves = {std::move(slowest), std::move(others), std::move(line)}});
}

void add_repetitions(const Report& report, std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<ShownRow> rows = shown_rows(report, most_names, left_out);
  Curve intervals{.label = "interval of the median", .stroke = Stroke::boxes, .colour = 5};
  Curve dots{.label = "repetitions", .stroke = Stroke::dots, .colour = 0};
  Interval extent{0, 0};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Point& point = point_of_row(report, rows[i]);
    const Estimate time = point.time_s();
    const auto against = [&](double wall_s) { return (wall_s / time.value - 1) * 100; };
    const auto x = static_cast<double>(i);
    if (time.interval)
      intervals.marks.push_back(bar(x, against(time.interval->lo), against(time.interval->hi),
                                    tip_of(report, rows[i].series->rows[rows[i].row])));
    for (std::size_t k = 0; k < point.samples.size(); ++k) {
      // In the order of their start from left to right: a drift shows.
      const double along =
          point.samples.size() < 2
              ? 0.5
              : static_cast<double>(k) / static_cast<double>(point.samples.size() - 1);
      const double y = against(point.samples[k].wall_s);
      dots.marks.push_back({.x = x + (along - 0.5) * 1.6 * slightly, .y = y});
      extent = {std::min(extent.lo, y), std::max(extent.hi, y)};
    }
  }
  const double room = 0.06 * (extent.hi - extent.lo);
  figures.push_back(
      {.name = "repetitions",
       .title = "Repetitions",
       .caption = "Every repetition against the median of its point, in the order of "
                  "their start from left to right. " +
                  left_out,
       .x = name_axis(what_names_are(report), names_of(rows)),
       .y = number_axis("from the median (%)", {extent.lo - room, extent.hi + room}, false),
       .curves = {std::move(intervals), std::move(dots)}});
  std::erase_if(figures.back().curves, [](const Curve& curve) { return curve.marks.empty(); });
}

} // namespace

void add_balance_figures(const Report& report, const std::optional<PointTrace>& trace,
                         std::vector<Figure>& figures) {
  const auto largest = largest_point(report.results, report.table.mode);
  if (!largest)
    return;
  add_factors(report, figures);
  add_phases(report, figures);
  add_loads(report.results.points[*largest], figures);
  if (trace)
    add_time_line(report, *trace, figures);
  add_repetitions(report, figures);
}

} // namespace cleave::report
