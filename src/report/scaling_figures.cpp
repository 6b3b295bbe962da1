// Figures against the number of workers: time, speed-up, efficiency, Karp-Flatt.
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace cleave::report {
namespace {

constexpr std::size_t most_series = palette_size;
constexpr int steps = 48;        ///< of a law's curve
constexpr double beside = 1.025; ///< where a point lies that has as many workers as another

/// The ends of all numbers in curves, intervals included.
class Extent {
public:
  void add(double value) {
    if (!std::isfinite(value))
      return;
    lo_ = std::min(lo_, value);
    hi_ = std::max(hi_, value);
  }
  void add(const Curve& curve) {
    for (const Mark& mark : curve.marks) {
      add(mark.y);
      if (mark.y_span) {
        add(mark.y_span->lo);
        add(mark.y_span->hi);
      }
    }
  }
  [[nodiscard]] Interval get() const { return lo_ <= hi_ ? Interval{lo_, hi_} : Interval{0, 1}; }

private:
  double lo_ = INFINITY;
  double hi_ = -INFINITY;
};

/// What is common to the figures of a study against workers.
class ScalingFigures {
public:
  explicit ScalingFigures(const Report& report) : report_(report) {
    for (const Series& series : report.table.series)
      if (shown_.size() < most_series)
        shown_.push_back(&series);
    for (const Series* series : shown_)
      for (const StudyRow& row : series->rows)
        workers_.push_back(point_of(report, row).workers);
    if (report.table.series.size() > shown_.size())
      left_out_ = fmt::format("{} of {} series are shown; all are in the table. ", shown_.size(),
                              report.table.series.size());
  }

  [[nodiscard]] bool any_scaling() const {
    const std::set<double> values(workers_.begin(), workers_.end());
    bool found = false;
    each_row(report_.table, [&](const Series& series, std::size_t row) {
      found = found || series.rows[row].scaling.has_value();
    });
    return found && values.size() > 1;
  }

  [[nodiscard]] Figure time() const {
    const TimeUnit unit = unit_of(report_.results);
    Figure figure = begin("time", "Time", "Median wall time of each point and its interval. ");
    Curve unverified{.label = "unverified", .colour = 1, .hollow = true};
    for (std::size_t i = 0; i < shown_.size(); ++i) {
      Curve curve = curve_of(i, [&](const StudyRow& row) -> std::optional<Estimate> {
        const Point& point = point_of(report_, row);
        if (point.samples.empty() || !point.verified())
          return {};
        return scaled(point.time_s(), unit.per_second);
      });
      for (const StudyRow& row : shown_[i]->rows) {
        const Point& point = point_of(report_, row);
        if (!point.samples.empty() && !point.verified())
          unverified.marks.push_back(mark(row, scaled(point.time_s(), unit.per_second)));
      }
      figure.curves.push_back(std::move(curve));
    }
    if (!unverified.marks.empty())
      figure.curves.push_back(std::move(unverified));
    finish(figure, fmt::format("time ({})", unit.name), true, {});
    return figure;
  }

  [[nodiscard]] Figure speedup() const {
    const bool weak = report_.table.mode == StudyMode::weak;
    Figure figure =
        begin("speed-up", weak ? "Scaled speed-up" : "Speed-up",
              weak ? "Rate of work against the base's rate by worker; dashed: ideal. "
                   : "Time of the base, times its workers, by the time; dashed: ideal. ");
    figure.curves.push_back(ideal([](double p) { return p; }));
    add_laws(figure, [](double /*p*/, const Estimate& s) { return s; });
    add_points(figure, [](const Scaling& scaling) { return scaling.speedup; });
    finish(figure, weak ? "scaled speed-up" : "speed-up", true, {});
    return figure;
  }

  [[nodiscard]] Figure efficiency() const {
    Figure figure = begin("efficiency", "Efficiency", "Speed-up by worker; dashed: ideal. ");
    figure.curves.push_back(ideal([](double) { return 1.0; }));
    add_laws(figure, [](double p, const Estimate& s) { return scaled(s, 1 / p); });
    add_points(figure, [](const Scaling& scaling) { return scaling.efficiency; });
    finish(figure, "efficiency", false, 0.0);
    figure.y.range.hi = std::max(figure.y.range.hi, 1.1);
    return figure;
  }

  /// The serial fraction of Karp & Flatt, with what the USL makes of it: a + b p.
  [[nodiscard]] Figure karp_flatt() const {
    Figure figure = begin("karp-flatt", "Serial fraction after Karp and Flatt",
                          "e = (1/S - 1/p)/(1 - 1/p): level where a part of the work is serial, "
                          "rising where overheads grow. ");
    if (shown_.size() == 1)
      for (const LawFit& law : shown_.front()->laws)
        if (law.name() == "USL" && law.rejected().empty())
          figure.curves.push_back(usl_line(law));
    for (std::size_t i = 0; i < shown_.size(); ++i)
      figure.curves.push_back(curve_of(i, [&](const StudyRow& row) -> std::optional<Estimate> {
        if (!row.scaling || !row.scaling->karp_flatt)
          return {};
        return serial_fraction(row.scaling->speedup, point_of(report_, row).workers);
      }));
    finish(figure, "serial fraction e", false, {});
    return figure;
  }

private:
  static Estimate scaled(Estimate estimate, double factor) {
    estimate.value *= factor;
    if (estimate.interval)
      estimate.interval = {estimate.interval->lo * factor, estimate.interval->hi * factor};
    return estimate;
  }

  static Estimate serial_fraction(const Estimate& speedup, double p) {
    const auto e = [p](double s) { return (1 / s - 1 / p) / (1 - 1 / p); };
    Estimate found{e(speedup.value), {}};
    if (speedup.interval) // it falls with the speed-up
      found.interval = {e(speedup.interval->hi), e(speedup.interval->lo)};
    return found;
  }

  [[nodiscard]] Figure begin(const char* name, const char* title,
                             const std::string& caption) const {
    return {name, title, caption + left_out_, worker_axis(workers_), {}, {}};
  }

  [[nodiscard]] Mark mark(const StudyRow& row, const Estimate& estimate) const {
    const double p = point_of(report_, row).workers;
    return {.x = p, .y = estimate.value, .y_span = estimate.interval, .tip = tip_of(report_, row)};
  }

  /// The marks of a series for which `figure` has a number; joined if there is one at each p.
  template <class FigureOf>
  [[nodiscard]] Curve curve_of(std::size_t index, FigureOf figure) const {
    const Series& series = *shown_[index];
    Curve curve{.label = shown_.size() > 1 ? series.label : "",
                .stroke = Stroke::trend,
                .colour = static_cast<int>(index)};
    std::map<double, int> seen;
    for (const StudyRow& row : series.rows)
      if (const std::optional<Estimate> estimate = figure(row)) {
        Mark one = mark(row, *estimate);
        if (const int before = seen[one.x]++; before > 0) {
          curve.stroke = Stroke::points;
          one.x *= std::pow(beside, before);
        }
        curve.marks.push_back(std::move(one));
      }
    return curve;
  }

  /// Hollow: points of more workers than cores, which no law is about.
  template <class Of>
  void add_points(Figure& figure, Of of) const {
    for (std::size_t i = 0; i < shown_.size(); ++i)
      for (const bool oversubscribed : {false, true}) {
        Curve curve = curve_of(i, [&](const StudyRow& row) -> std::optional<Estimate> {
          if (!row.scaling || point_of(report_, row).oversubscribed != oversubscribed)
            return {};
          return of(*row.scaling);
        });
        for (Mark& one : curve.marks)
          one.tip += fmt::format("; {} {}", figure.name, with_interval({one.y, one.y_span}));
        curve.hollow = oversubscribed;
        if (oversubscribed)
          curve.stroke = Stroke::points;
        if (shown_.size() == 1)
          curve.label = oversubscribed ? "over-subscribed" : "measured";
        else if (oversubscribed)
          curve.label.clear();
        if (beside_laws(figure))
          curve.stroke = Stroke::points;
        if (!curve.marks.empty())
          figure.curves.push_back(std::move(curve));
      }
  }

  /// Whether laws are drawn, which are trend enough.
  static bool beside_laws(const Figure& figure) {
    return std::ranges::any_of(figure.curves,
                               [](const Curve& law) { return law.stroke == Stroke::line; });
  }

  template <class Of>
  [[nodiscard]] Curve ideal(Of of) const {
    Curve curve{.label = "ideal", .stroke = Stroke::dashes, .colour = -1};
    for_workers([&](double p) { curve.marks.push_back({.x = p, .y = of(p)}); });
    return curve;
  }

  template <class Visit>
  void for_workers(Visit visit) const {
    const auto [least, most] = std::ranges::minmax(workers_);
    for (int i = 0; i <= steps; ++i)
      visit(least * std::pow(most / least, static_cast<double>(i) / steps));
  }

  /// Speed-up that the law puts at p workers.
  static Estimate law_speedup(const LawFit& law, const Point& base, double p) {
    const Estimate predicted = law.predict(p);
    const double base_time = base.workers * base.time_s().value;
    if (law.name() == "Gustafson") // predicts rates
      return scaled(predicted, base_time / base.work);
    Estimate s{base_time / predicted.value, {}};
    if (predicted.interval && predicted.interval->lo > 0)
      s.interval = {base_time / predicted.interval->hi, base_time / predicted.interval->lo};
    return s;
  }

  template <class Of>
  void add_laws(Figure& figure, Of of) const {
    if (shown_.size() != 1 || !shown_.front()->base)
      return; // laws of several series would hide the points
    const Point& base = point_of(report_, shown_.front()->rows[*shown_.front()->base]);
    int colour = 1;
    for (const LawFit& law : shown_.front()->laws) {
      if (!law.rejected().empty()) {
        figure.caption += fmt::format("{}: model rejected, {}. ", law.name(), law.rejected());
        continue;
      }
      Curve line{.label = law.name(), .stroke = Stroke::line, .colour = colour};
      Curve band{.stroke = Stroke::band, .colour = colour++};
      for_workers([&](double p) {
        const Estimate s = of(p, law_speedup(law, base, p));
        line.marks.push_back({.x = p, .y = s.value});
        if (s.interval)
          band.marks.push_back({.x = p, .y = s.value, .y_span = s.interval});
      });
      if (!band.marks.empty())
        figure.curves.push_back(std::move(band));
      figure.curves.push_back(std::move(line));
    }
  }

  [[nodiscard]] Curve usl_line(const LawFit& law) const {
    double a = 0;
    double b = 0;
    for (const LawParameter& parameter : law.parameters()) {
      if (parameter.name == "a")
        a = parameter.estimate.value;
      if (parameter.name == "b")
        b = parameter.estimate.value;
    }
    Curve line{.label = "USL: a + b p", .stroke = Stroke::line, .colour = 2};
    for_workers([&](double p) {
      if (p > 1)
        line.marks.push_back({.x = p, .y = a + b * p});
    });
    return line;
  }

  /// Bands may be wide; the axis is made for points and bounds.
  void finish(Figure& figure, std::string label, bool logarithmic,
              std::optional<double> from) const {
    Extent extent;
    for (const Curve& curve : figure.curves)
      if (curve.stroke != Stroke::band)
        extent.add(curve);
    if (from)
      extent.add(*from);
    figure.y = number_axis(std::move(label), extent.get(), logarithmic && figure.x.logarithmic);
    std::erase_if(figure.curves, [](const Curve& curve) { return curve.marks.empty(); });
  }

  const Report& report_;
  std::vector<const Series*> shown_;
  std::vector<double> workers_;
  std::string left_out_;
};

} // namespace

void add_scaling_figures(const Report& report, std::vector<Figure>& figures) {
  const StudyMode mode = report.table.mode;
  if (is_choice(mode) || !largest_point(report.results, mode))
    return;
  const ScalingFigures all(report);
  figures.push_back(all.time());
  if (!all.any_scaling())
    return;
  figures.push_back(all.speedup());
  figures.push_back(all.efficiency());
  if (mode == StudyMode::strong)
    figures.push_back(all.karp_flatt());
}

} // namespace cleave::report
