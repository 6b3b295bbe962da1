#include "cleave/study_table.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace cleave {
namespace {

/// Whether numbers of workers are compared, not choices at one number.
bool scales(StudyMode mode) {
  return mode == StudyMode::strong || mode == StudyMode::weak;
}

/// What the points of a series have in common, by name.
using Common = std::map<std::string, std::string>;

void require_one_program(const Results& results) {
  std::vector<std::string> unlike;
  for (const auto& [fact, texts] : results.differing)
    unlike.push_back(fact + " (" + join(texts, " | ") + ")");
  if (!unlike.empty())
    throw Error(ErrorKind::not_comparable,
                "these runs cannot be one study, they differ in " + join(unlike, ", ") +
                    "; give those of one program on one kind of machine",
                {results.path.string(), 0, {}});
  std::set<std::string> workloads;
  for (const Point& point : results.points)
    workloads.insert(point.key.workload);
  if (workloads.size() > 1)
    throw Error(ErrorKind::bad_input,
                "these are runs of several workloads, " +
                    join({workloads.begin(), workloads.end()}) + "; give those of one",
                {results.path.string(), 0, {}});
  if (results.points.empty())
    throw Error(ErrorKind::bad_input, "there is no point to make a table of",
                {results.path.string(), 0, {}});
}

StudyMode mode_of(const Results& results) {
  if (results.study)
    return results.study->mode;
  std::set<int> workers;
  std::set<std::pair<int, int>> layouts;
  for (const Point& point : results.points) {
    workers.insert(point.workers);
    layouts.emplace(point.key.ranks, point.key.threads);
  }
  if (workers.size() > 1)
    return StudyMode::strong;
  return layouts.size() > 1 ? StudyMode::layout : StudyMode::schedule;
}

Common common_of(const Point& point, StudyMode mode, const Results& results) {
  Common common = point.parameters;
  if (point.parameters.empty()) // of a program without a workload
    common["parameters"] = point.key.config_hash;
  if (results.study)
    for (const std::string& grown : results.study->grown)
      common.erase(grown);
  if (mode != StudyMode::schedule)
    common["schedule"] = point.key.schedule;
  return common;
}

/// The entries in which not all series agree.
std::string label_of(const Common& common, const std::map<Common, Series>& all) {
  std::vector<std::string> words;
  for (const auto& [name, text] : common) {
    const bool same = std::ranges::all_of(all, [&](const auto& other) {
      const auto found = other.first.find(name);
      return found != other.first.end() && found->second == text;
    });
    if (!same)
      words.push_back(std::string(name).append("=").append(text));
  }
  return join(words);
}

ScalingPoint scaling_point(const Point& point) {
  const Estimate time = point.time_s();
  return {static_cast<double>(point.workers), time.value, time.interval, point.work};
}

bool matches(const PointKey& planned, const PointKey& measured) {
  PointKey key = planned;
  if (key.config_hash.empty())
    key.config_hash = measured.config_hash;
  return key == measured;
}

/// Whether the study asks for a point of fewer workers than `point` that nobody has measured.
bool misses_smaller(const Point& point, const std::vector<PointKey>& missing) {
  return std::ranges::any_of(missing, [&](const PointKey& key) {
    return key.ranks * key.threads < point.workers && key.schedule == point.key.schedule;
  });
}

/// The first row, which has the fewest workers: where its answer is not verified, or the study has
/// not come to a smaller point, there is no base and so no speed-up.
std::optional<std::size_t> base_of(const Series& series, const StudyTable& table,
                                   const Results& results) {
  const Point& first = results.points[series.rows.front().point];
  if (!first.verified() || (scales(table.mode) && misses_smaller(first, table.missing)))
    return std::nullopt;
  return 0;
}

void scale(Series& series, StudyMode mode, const Results& results) {
  const ScalingPoint base = scaling_point(results.points[series.rows[*series.base].point]);
  for (std::size_t r = 0; r < series.rows.size(); ++r) {
    StudyRow& row = series.rows[r];
    const Point& point = results.points[row.point];
    if (!point.verified())
      continue;
    const ScalingPoint own = scaling_point(point);
    const ScalingPoint& measured = r == *series.base ? base : own; // the base has no interval
    row.scaling =
        mode == StudyMode::weak ? weak_scaling(base, measured) : strong_scaling(base, measured);
    const auto& interval = row.scaling->efficiency.interval;
    row.superlinear = scales(mode) && interval && interval->lo > 1;
  }
}

/// Laws hold for cores of one's own: over-subscribed points are left out.
void fit_laws(Series& series, StudyMode mode, const Results& results) {
  std::vector<ScalingPoint> points;
  std::set<double> sizes;
  for (const StudyRow& row : series.rows)
    if (row.scaling && !results.points[row.point].oversubscribed) {
      points.push_back(scaling_point(results.points[row.point]));
      sizes.insert(points.back().workers);
    }
  if (mode == StudyMode::weak && sizes.size() >= 2)
    series.laws.push_back(LawFit::gustafson(points));
  if (mode == StudyMode::strong && sizes.size() >= 2)
    series.laws.push_back(LawFit::amdahl(points));
  if (mode == StudyMode::strong && sizes.size() >= 3)
    series.laws.push_back(LawFit::usl(points));
}

/// Of all samples, by time: how far each lies from its point's median.
void find_drift(StudyTable& table, const Results& results) {
  std::vector<std::pair<double, double>> residuals;
  for (const Point& point : results.points) {
    const double middle = median(point.wall_s());
    for (const Sample& sample : point.samples)
      residuals.emplace_back(sample.start_utc_s, sample.wall_s / middle - 1);
  }
  std::ranges::sort(residuals);
  std::vector<double> values;
  for (const auto& [time, residual] : residuals)
    values.push_back(residual);
  table.drift_p = trend_p(values);
  const std::size_t third = values.size() / 3;
  if (third > 0)
    table.drift_percent =
        100 * (median(std::span(values).last(third)) - median(std::span(values).first(third)));
}

} // namespace

StudyTable tabulate(const Results& results) {
  require_one_program(results);
  StudyTable table;
  table.mode = mode_of(results);
  if (results.study)
    for (const PointKey& key : results.study->planned)
      if (std::ranges::none_of(results.points, [&](const Point& point) {
            return matches(key, point.key) && !point.samples.empty();
          }))
        table.missing.push_back(key);

  std::map<Common, Series> all;
  for (std::size_t i = 0; i < results.points.size(); ++i)
    if (!results.points[i].samples.empty())
      all[common_of(results.points[i], table.mode, results)].rows.emplace_back().point = i;
  for (auto& [common, series] : all) {
    series.label = label_of(common, all);
    std::ranges::stable_sort(series.rows, {}, [&](const StudyRow& row) {
      const Point& point = results.points[row.point];
      return std::tuple(point.workers, point.key.ranks, point.key.schedule);
    });
    series.base = base_of(series, table, results);
    if (series.base) {
      scale(series, table.mode, results);
      fit_laws(series, table.mode, results);
    }
    if (results.study)
      for (StudyRow& row : series.rows)
        row.stopped_by = stopped_by(results.points[row.point], results.study->measure);
    table.series.push_back(std::move(series));
  }
  std::ranges::stable_sort(table.series, {}, [&](const Series& series) {
    return results.points[series.rows.front().point].work;
  });
  find_drift(table, results);
  return table;
}

} // namespace cleave
