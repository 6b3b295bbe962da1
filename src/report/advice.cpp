// What to do about the numbers: each piece of advice is a function of a point that holds its tongue
// unless its number is large enough to matter.
#include "../words.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace cleave {
namespace {

using namespace report;

constexpr double worth_telling = 0.05; ///< share of the cores' time
constexpr std::size_t most_advice = 8;

/// Advice and the share of core time that stands behind it, for their order.
struct Weighed {
  double weight = 0;
  Advice advice;
};
using Said = std::vector<Weighed>;

template <class Figure>
double median_of(const Point& point, Figure figure) {
  return point.of_samples(figure).value;
}

std::string cores_of(const Point& point) {
  return point.workers == 1 ? "one core's time" : fmt::format("{} cores' time", point.workers);
}

bool balances_itself(const std::string& schedule) {
  return !schedule.starts_with("block") && !schedule.starts_with("cyclic");
}

std::string smaller_chunks(const Point& point, const char* technique) {
  if (balances_itself(point.key.schedule))
    return "smaller chunks, or tasks that can be cut finer, would spread it";
  return fmt::format("try --schedule {}", technique);
}

void on_imbalance(const Point& point, Said& said) {
  const double between =
      1 - median_of(point, [](const Sample& s) { return s.balance.between_nodes; });
  const double inside = 1 - median_of(point, [](const Sample& s) { return s.balance.in_nodes; });
  if (between > worth_telling)
    said.push_back(
        {between,
         {fmt::format("{} of {} is lost to imbalance between nodes ({}): {}.", percent(between),
                      cores_of(point), point.layout_text(), smaller_chunks(point, "factoring")),
          "load"}});
  if (inside > worth_telling)
    said.push_back({inside,
                    {fmt::format("{} of {} is lost to imbalance between ranks of a node ({}): {}.",
                                 percent(inside), cores_of(point), point.layout_text(),
                                 smaller_chunks(point, "guided")),
                     "load"}});
  const double threads = 1 - median_of(point, [](const Sample& s) { return s.thread_balance; });
  if (threads > worth_telling)
    said.push_back(
        {threads,
         {fmt::format("The threads of a rank are up to {} unequally busy ({}): {}.",
                      percent(threads), point.layout_text(), smaller_chunks(point, "dynamic")),
          "load"}});
}

void on_phases(const Point& point, Said& said) {
  const auto share = [&](Phase phase) {
    return median_of(point, [phase](const Sample& s) {
      return s.phase_s[static_cast<std::size_t>(phase)] / s.wall_s;
    });
  };
  const double moving = share(Phase::scatter) + share(Phase::gather);
  if (moving > worth_telling)
    said.push_back(
        {moving,
         {fmt::format(
              "{} of the time at {} goes into scatter ({}) and gather ({}): give tasks more "
              "work for their bytes, keep data on the ranks between calls, or return less.",
              percent(moving), point.layout_text(), percent(share(Phase::scatter)),
              percent(share(Phase::gather))),
          "phases"}});
  const double communication =
      1 - median_of(point, [](const Sample& s) { return s.balance.communication; });
  const double explained = moving + worth_telling;
  if (communication > worth_telling && communication > explained)
    said.push_back({communication,
                    {fmt::format("Even the busiest rank of {} computes for only {} of the time: "
                                 "chunks or the whole run are too short for their overheads; take "
                                 "larger chunks, or fewer cores for this size.",
                                 point.layout_text(), percent(1 - communication)),
                     "balance"}});
}

void on_oversubscription(const Results& results, Said& said) {
  std::vector<std::string> layouts;
  for (const Point& point : results.points)
    if (point.oversubscribed)
      layouts.push_back(short_layout(point.key));
  if (!layouts.empty())
    said.push_back(
        {0.5,
         {fmt::format("{} ({}) {} more workers than cores: such times say how the "
                      "kernel shares cores, not how the program scales; leave them out.",
                      counted(static_cast<std::int64_t>(layouts.size()), "point"),
                      fmt::join(layouts.begin(),
                                layouts.begin() + std::min<std::ptrdiff_t>(std::ssize(layouts), 5),
                                ", "),
                      layouts.size() == 1 ? "has" : "have"),
          "points"}});
}

void on_peak(const Results& results, const Series& series, Said& said) {
  for (const LawFit& law : series.laws) {
    const auto peak = law.peak();
    if (!peak || !law.rejected().empty())
      continue;
    int most = 0;
    for (const StudyRow& row : series.rows)
      most = std::max(most, results.points[row.point].workers);
    if (*peak < 4.0 * most)
      said.push_back(
          {*peak < most ? 0.6 : 0.04,
           {fmt::format("{} puts the most speed at {} workers{}: do not ask for more.", law.name(),
                        number(*peak, 3), *peak < most ? ", fewer than were tried" : ""),
            "speed-up"}});
  }
}

void on_efficiency(const Results& results, const Series& series, Said& said) {
  const StudyRow* last_good = nullptr;
  const StudyRow* worst = nullptr;
  for (const StudyRow& row : series.rows) {
    if (!row.scaling || results.points[row.point].oversubscribed)
      continue;
    if (row.scaling->efficiency.value >= 0.7)
      last_good = &row;
    worst = &row;
  }
  if (worst == nullptr || last_good == nullptr || worst->scaling->efficiency.value >= 0.7)
    return;
  const auto workers = [&](const StudyRow* row) { return results.points[row->point].workers; };
  if (workers(last_good) >= workers(worst))
    return;
  const std::string good =
      last_good == &series.rows[*series.base]
          ? ""
          : fmt::format("; {} still run at {}", counted(workers(last_good), "core"),
                        percent(last_good->scaling->efficiency.value));
  said.push_back(
      {0.3,
       {fmt::format("Efficiency falls to {} at {}{}.", percent(worst->scaling->efficiency.value),
                    counted(workers(worst), "core"), good),
        "efficiency"}});
}

void on_superlinear(const Results& results, const Series& series, Said& said) {
  for (const StudyRow& row : series.rows)
    if (row.superlinear && series.base) {
      const Point& point = results.points[row.point];
      said.push_back({0.2,
                      {fmt::format("{} is superlinear, at {} of ideal: {}.", point.layout_text(),
                                   percent(row.scaling->efficiency.value, 3),
                                   superlinear_reason(results, series, row)),
                       "efficiency"}});
      return;
    }
}

/// The fastest, and those that the repetitions cannot tell from it.
void on_choice(const Results& results, StudyMode mode, const Series& series, Said& said) {
  const auto time = [&](const StudyRow& row) { return results.points[row.point].time_s(); };
  const auto name = [&](const StudyRow& row) {
    const Point& point = results.points[row.point];
    return mode == StudyMode::schedule ? point.key.schedule : point.layout_text();
  };
  const StudyRow* best = nullptr;
  for (const StudyRow& row : series.rows)
    if (results.points[row.point].verified() &&
        (best == nullptr || time(row).value < time(*best).value))
      best = &row;
  if (best == nullptr || series.rows.size() < 2)
    return;
  std::vector<std::string> rivals;
  double slowest = 0;
  for (const StudyRow& row : series.rows) {
    const Estimate other = time(row);
    slowest = std::max(slowest, other.value);
    const auto& own = time(*best).interval;
    if (&row != best && (!own || !other.interval || other.interval->lo <= own->hi))
      rivals.push_back(name(row));
  }
  const std::string label = series.label.empty() ? "" : series.label + ": ";
  said.push_back(
      {1 - time(*best).value / slowest,
       {fmt::format("{}{} has the least median, {}{}.", label, name(*best), time_text(time(*best)),
                    rivals.empty() ? "; its interval is apart from all others"
                                   : "; undecided against " + join(rivals)),
        "time"}});
}

/// How many repetitions a narrower interval takes: its width falls with their root.
void on_width(const Results& results, double wanted, Said& said) {
  const Point* widest = nullptr;
  double width = wanted;
  int without = 0;
  for (const Point& point : results.points) {
    if (point.samples.empty())
      continue;
    const Estimate time = point.time_s();
    without += time.interval ? 0 : 1;
    if (time.interval && (time.interval->hi - time.interval->lo) / 2 / time.value > width) {
      width = (time.interval->hi - time.interval->lo) / 2 / time.value;
      widest = &point;
    }
  }
  if (without > 0)
    said.push_back({0.8,
                    {fmt::format("{} {} no interval: 95 % takes 6 repetitions or more, so nothing "
                                 "can be said of differences there.",
                                 counted(without, "point"), without == 1 ? "has" : "have"),
                     "repetitions"}});
  if (widest != nullptr) {
    const auto n = static_cast<double>(widest->samples.size());
    said.push_back(
        {0.1,
         {fmt::format("The interval at {} is \u00b1{} of its median: \u00b1{} takes about "
                      "{} repetitions.",
                      widest->layout_text(), percent(width), percent(wanted),
                      number(std::ceil(n * (width / wanted) * (width / wanted)), 2)),
          "repetitions"}});
  }
}

void on_drift(const StudyTable& table, Said& said) {
  if (drifts(table))
    said.push_back(
        {0.7,
         {fmt::format("Times drifted by {} % over the study (p = {}): something else ran, "
                      "or clocks changed; measure again on a quiet machine.",
                      number(table.drift_percent, 2), number(table.drift_p, 2)),
          "repetitions"}});
}

} // namespace

std::vector<Advice> advise(const Results& results, const StudyTable& table) {
  Said said;
  if (const auto largest = largest_point(results, table.mode)) {
    on_imbalance(results.points[*largest], said);
    on_phases(results.points[*largest], said);
  }
  on_oversubscription(results, said);
  for (const Series& series : table.series) {
    if (is_choice(table.mode)) {
      on_choice(results, table.mode, series, said);
      continue;
    }
    on_peak(results, series, said);
    on_efficiency(results, series, said);
    on_superlinear(results, series, said);
  }
  on_width(results, results.study ? results.study->measure.half_width : 0.05, said);
  on_drift(table, said);
  std::ranges::stable_sort(said, std::greater<>{}, &Weighed::weight);
  std::vector<Advice> advice;
  said.resize(std::min(said.size(), most_advice));
  for (Weighed& one : said)
    advice.push_back(std::move(one.advice));
  return advice;
}

} // namespace cleave
