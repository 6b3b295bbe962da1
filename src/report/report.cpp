#include "cleave/report.hpp"

#include "../words.hpp"
#include "cleave/store.hpp"
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace cleave {
namespace {

using namespace report;

constexpr std::size_t most_bases = 3;

std::string title_of(const Results& results) {
  std::string workload = results.points.empty() ? "" : results.points.front().key.workload;
  if (results.study && !results.study->title.empty())
    return results.study->title + ": " + workload;
  return workload;
}

std::string base_of(const Series& series, const Results& results, StudyMode mode) {
  const Point& point = results.points[series.rows[*series.base].point];
  return fmt::format("{}{}{}, {}", series.label.empty() ? "" : series.label + ": ",
                     mode == StudyMode::schedule ? point.key.schedule + ", " : "",
                     point.layout_text(), time_text(point.time_s()));
}

std::string base_text(const Results& results, const StudyTable& table) {
  std::vector<std::string> bases;
  std::size_t more = 0;
  for (const Series& series : table.series) {
    if (series.base && bases.size() < most_bases)
      bases.push_back(base_of(series, results, table.mode));
    else if (series.base)
      ++more;
  }
  if (bases.empty())
    return "There is no base: no verified point, so no speed-up.";
  return (bases.size() + more == 1 ? "Base: " : "Bases: ") + join(bases, "; ") +
         (more > 0 ? fmt::format("; {} more in the table of points", more) : "") + ".";
}

std::string conditions_of(const Results& results) {
  std::size_t least = SIZE_MAX;
  std::size_t most = 0;
  std::set<std::string> syncs;
  std::set<std::string> summaries;
  for (const Point& point : results.points) {
    least = std::min(least, point.samples.size());
    most = std::max(most, point.samples.size());
    syncs.insert(point.sync_method.empty() ? "unknown" : point.sync_method);
    summaries.insert(point.summary_method.empty() ? "unknown" : point.summary_method);
  }
  const auto list = [](const std::set<std::string>& names) {
    return join({names.begin(), names.end()}, " or ");
  };
  return fmt::format("n = {} repetitions a point; {} with exact 95 % order-statistic interval{}; "
                     "ranks start together by {}.",
                     least == most ? fmt::format("{}", most) : fmt::format("{} to {}", least, most),
                     list(summaries), least < 6 ? " (none below n = 6)" : "", list(syncs));
}

void note_missing(const StudyTable& table, std::vector<std::string>& notes) {
  if (table.missing.empty())
    return;
  std::vector<std::string> names;
  for (const PointKey& key : table.missing)
    names.push_back(table.mode == StudyMode::schedule ? short_layout(key) + " " + key.schedule
                                                      : short_layout(key));
  const std::size_t shown = std::min<std::size_t>(names.size(), 12);
  const std::size_t more = names.size() - shown;
  names.resize(shown);
  notes.push_back(fmt::format("{} planned and not measured: {}{}.",
                              counted(static_cast<std::int64_t>(table.missing.size()), "point"),
                              join(names), more > 0 ? fmt::format(" and {} more", more) : ""));
}

std::vector<std::string> notes_of(const Results& results, const StudyTable& table) {
  std::vector<std::string> notes;
  if (results.points.size() == 1)
    notes.emplace_back("One point only: scaling takes two or more.");
  note_missing(table, notes);
  for (const Point& point : results.points)
    if (!point.verified())
      notes.push_back(fmt::format("{} is shown without a speed-up: {}.", point.layout_text(),
                                  point.samples.empty() ? "no repetition was completed"
                                                        : "not all of its answers were checked"));
  if (notes.size() > 12)
    notes.resize(12);
  notes.push_back(fmt::format("{} over the study (Mann-Kendall p = {}; last third {} % against the "
                              "first).",
                              drifts(table) ? "Times drifted" : "No drift was found",
                              number(table.drift_p, 2), number(table.drift_percent, 2)));
  if (!results.hosts.empty())
    notes.push_back(
        fmt::format("{}: {}.", results.hosts.size() == 1 ? "Host" : "Hosts", join(results.hosts)));
  return notes;
}

std::optional<std::filesystem::path> trace_of(const Point& point) {
  for (std::filesystem::path file : point.files) {
    file.replace_extension(".trace.h5");
    if (std::filesystem::exists(file))
      return file;
  }
  return {};
}

std::optional<int> median_repetition(const std::vector<TraceRow>& rows) {
  std::map<int, double> ends;
  for (const TraceRow& row : rows)
    ends[row.rep] = std::max(ends[row.rep], row.end_s);
  std::vector<std::pair<double, int>> by_end;
  for (const auto& [repetition, end_s] : ends)
    by_end.emplace_back(end_s, repetition);
  if (by_end.empty())
    return {};
  std::ranges::sort(by_end);
  return by_end[(by_end.size() - 1) / 2].second;
}

} // namespace

Report make_report(Results results, StudyTable table, const std::optional<PointTrace>& trace) {
  Report report{.results = std::move(results), .table = std::move(table)};
  report.title = title_of(report.results);
  report.base = base_text(report.results, report.table);
  report.conditions = conditions_of(report.results);
  report.notes = notes_of(report.results, report.table);
  report.advice = advise(report.results, report.table);
  report.rules = rules_kept(report.results, report.table);
  report.tables = make_tables(report);
  add_scaling_figures(report, report.figures);
  add_choice_figures(report, report.figures);
  add_balance_figures(report, trace, report.figures);
  const std::string ending = report.base + " " + report.conditions;
  for (ReportTable& one : report.tables)
    if (one.name != "environment")
      one.caption += ending;
  for (Figure& figure : report.figures)
    figure.caption += ending;
  return report;
}

std::optional<std::size_t> largest_traced(const Results& results) {
  std::optional<std::size_t> largest;
  for (std::size_t i = 0; i < results.points.size(); ++i) {
    const Point& point = results.points[i];
    if (!point.samples.empty() && trace_of(point) &&
        (!largest || point.workers > results.points[*largest].workers))
      largest = i;
  }
  return largest;
}

std::optional<PointTrace> read_point_trace(const Results& results, std::size_t point) {
  const auto file = trace_of(results.points[point]);
  if (!file)
    return {};
  std::vector<TraceRow> rows = read_trace(*file);
  const std::optional<int> median = median_repetition(rows);
  if (!median)
    return {};
  std::erase_if(rows, [median](const TraceRow& row) { return row.rep != *median; });
  return PointTrace{point, *median, std::move(rows)};
}

} // namespace cleave
