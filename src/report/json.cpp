// Everything as JSON, and traces as Chrome's trace events.
#include "cleave/version.hpp"
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <set>

namespace cleave {
namespace {

using namespace report;
using Json = nlohmann::ordered_json;

std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// A number, or null for what JSON has no word for.
Json value_of(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json json_of(const Estimate& estimate) {
  Json json = {{"value", value_of(estimate.value)}};
  json["interval"] = estimate.interval
                         ? Json{value_of(estimate.interval->lo), value_of(estimate.interval->hi)}
                         : Json(nullptr);
  return json;
}

Json json_of(const PointKey& key) {
  return {{"workload", key.workload}, {"config_hash", key.config_hash},
          {"schedule", key.schedule}, {"nodes", key.nodes},
          {"ranks", key.ranks},       {"threads", key.threads}};
}

Json phases_of(const std::array<double, phase_count>& phase_s) {
  Json json = Json::object();
  for (std::size_t i = 0; i < phase_count; ++i)
    json[phase_names[i]] = value_of(phase_s[i]);
  return json;
}

Json json_of(const RankLoad& load) {
  Json busy = Json::array();
  for (const double seconds : load.thread_busy_s)
    busy.push_back(value_of(seconds));
  return {{"rank", load.rank}, {"node", load.node},     {"host", load.host},
          {"cpus", load.cpus}, {"thread_busy_s", busy}, {"phase_s", phases_of(load.phase_s)}};
}

Json factors_of(const Point& point) {
  const auto factor = [&](double Balance::*member) {
    return json_of(point.of_samples([member](const Sample& s) { return s.balance.*member; }));
  };
  return {{"imbalance_percent",
           json_of(point.of_samples([](const Sample& s) { return s.imbalance_percent; }))},
          {"lb", factor(&Balance::load_balance)},
          {"lb_in", factor(&Balance::in_nodes)},
          {"lb_out", factor(&Balance::between_nodes)},
          {"ce", factor(&Balance::communication)},
          {"pe", factor(&Balance::parallel_efficiency)},
          {"thread_balance",
           json_of(point.of_samples([](const Sample& s) { return s.thread_balance; }))}};
}

Json samples_of(const Point& point) {
  Json samples = Json::array();
  for (const Sample& sample : point.samples)
    samples.push_back({{"wall_s", value_of(sample.wall_s)},
                       {"start_utc_s", value_of(sample.start_utc_s)},
                       {"verified", sample.verified},
                       {"phase_s", phases_of(sample.phase_s)},
                       {"barrier_skew_s", value_of(sample.barrier_skew_s)},
                       {"clock_error_s", value_of(sample.clock_error_s)},
                       {"load1", value_of(sample.load1)}});
  return samples;
}

Json json_of(const Report& report, const Series& series, std::size_t index) {
  const StudyRow& row = series.rows[index];
  const Point& point = point_of(report, row);
  Json json = json_of(point.key);
  json["parameters"] = point.parameters;
  json["workers"] = point.workers;
  json["tasks"] = point.tasks;
  json["work"] = value_of(point.work);
  json["work_unit"] = point.work_unit;
  json["schedule_used"] = point.schedule_used;
  json["n"] = point.samples.size();
  json["time_s"] = json_of(point.time_s());
  json["verified"] = point.verified();
  json["speedup"] = row.scaling ? json_of(row.scaling->speedup) : Json(nullptr);
  json["efficiency"] = row.scaling ? json_of(row.scaling->efficiency) : Json(nullptr);
  json["karp_flatt"] =
      row.scaling && row.scaling->karp_flatt ? value_of(*row.scaling->karp_flatt) : Json(nullptr);
  json.update(factors_of(point));
  json["superlinear"] = row.superlinear;
  json["oversubscribed"] = point.oversubscribed;
  json["wrong"] = point.wrong;
  json["interrupted"] = point.interrupted;
  json["stopped_by"] = row.stopped_by;
  json["sync_method"] = point.sync_method;
  json["summary_method"] = point.summary_method;
  json["notes"] = notes_on(series, index, report.results, report.table.mode);
  json["samples"] = samples_of(point);
  json["loads"] = Json::array();
  for (const RankLoad& load : point.loads)
    json["loads"].push_back(json_of(load));
  json["files"] = Json::array();
  for (const auto& file : point.files)
    json["files"].push_back(file.string());
  return json;
}

Json json_of(const LawFit& law) {
  Json parameters = Json::object();
  for (const LawParameter& parameter : law.parameters())
    parameters[parameter.name] = json_of(parameter.estimate);
  return {{"law", law.name()},
          {"parameters", parameters},
          {"rejected", law.rejected().empty() ? Json(nullptr) : Json(law.rejected())},
          {"peak_workers", law.peak() ? value_of(*law.peak()) : Json(nullptr)}};
}

Json json_of(const Report& report, const Series& series) {
  Json json = {{"label", series.label},
               {"base", series.base ? Json(*series.base) : Json(nullptr)},
               {"points", Json::array()},
               {"laws", Json::array()}};
  for (std::size_t i = 0; i < series.rows.size(); ++i)
    json["points"].push_back(json_of(report, series, i));
  for (const LawFit& law : series.laws)
    json["laws"].push_back(json_of(law));
  return json;
}

Json rules_of(const Report& report) {
  Json rules = Json::array();
  for (const ReportRule& rule : report.rules)
    rules.push_back({{"rule", rule.number},
                     {"demand", rule.demand},
                     {"how", rule.how},
                     {"satisfied", rule.unmet.empty()},
                     {"unmet", rule.unmet}});
  return rules;
}

/// A process or thread of the viewer by its name.
Json named(const char* what, int pid, std::int64_t tid, const std::string& name) {
  return {{"ph", "M"}, {"name", what}, {"pid", pid}, {"tid", tid}, {"args", {{"name", name}}}};
}

constexpr std::int64_t threads_apart = 4096; ///< of a rank's numbers in the viewer

void add_names(const Point& point, Json& events) {
  std::set<int> nodes;
  for (const RankLoad& load : point.loads) {
    if (nodes.insert(load.node).second)
      events.push_back(
          named("process_name", load.node, 0, fmt::format("node {}: {}", load.node, load.host)));
    for (std::size_t thread = 0; thread < std::max<std::size_t>(load.thread_busy_s.size(), 1);
         ++thread)
      events.push_back(named("thread_name", load.node,
                             load.rank * threads_apart + static_cast<std::int64_t>(thread),
                             fmt::format("rank {} thread {}", load.rank, thread)));
  }
}

Json event(const std::string& name, const char* category, double begin_s, double end_s, int pid,
           std::int64_t tid) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"ts", begin_s * 1e6},
          {"dur", (end_s - begin_s) * 1e6},
          {"pid", pid},
          {"tid", tid}};
}

void add_chunks(const Point& point, const PointTrace& trace, Json& events) {
  std::map<int, int> node_of;
  for (const RankLoad& load : point.loads)
    node_of[load.rank] = load.node;
  for (const TraceRow& row : trace.rows) {
    Json one = event(fmt::format("tasks {} to {}", row.first_task, row.first_task + row.tasks - 1),
                     "chunk", row.begin_s, row.end_s, node_of[row.rank],
                     row.rank * threads_apart + row.thread);
    one["args"] = {{"first_task", row.first_task}, {"tasks", row.tasks}};
    events.push_back(std::move(one));
  }
}

/// Phases one after another: when they began is not kept.
void add_phases(const Point& point, Json& events) {
  for (const RankLoad& load : point.loads) {
    double at_s = 0;
    for (const Phase phase : {Phase::scatter, Phase::compute, Phase::wait, Phase::gather}) {
      const auto index = static_cast<std::size_t>(phase);
      if (!(load.phase_s[index] > 0))
        continue;
      events.push_back(event(phase_names[index], "phase", at_s, at_s + load.phase_s[index],
                             load.node, load.rank * threads_apart));
      at_s += load.phase_s[index];
    }
  }
}

} // namespace

std::string as_json(const Report& report) {
  Json json = {{"format", "cleave-report"},
               {"format_version", "1.0"},
               {"cleave_version", version},
               {"title", report.title},
               {"mode", study_mode_names[static_cast<std::size_t>(report.table.mode)]},
               {"base", report.base},
               {"conditions", report.conditions},
               {"notes", report.notes}};
  json["advice"] = Json::array();
  for (const Advice& advice : report.advice)
    json["advice"].push_back({{"text", advice.text}, {"source", advice.source}});
  json["drift"] = {{"p", value_of(report.table.drift_p)},
                   {"percent", value_of(report.table.drift_percent)}};
  json["series"] = Json::array();
  for (const Series& series : report.table.series)
    json["series"].push_back(json_of(report, series));
  json["missing"] = Json::array();
  for (const PointKey& key : report.table.missing)
    json["missing"].push_back(json_of(key));
  json["rules"] = rules_of(report);
  json["hosts"] = report.results.hosts;
  json["environment"] = report.results.facts;
  json["differing"] = report.results.differing;
  return dumped(json, 1);
}

std::string perfetto_trace(const Results& results, std::size_t point,
                           const std::optional<PointTrace>& trace) {
  const Point& measured = results.points[point];
  Json events = Json::array();
  add_names(measured, events);
  if (trace)
    add_chunks(measured, *trace, events);
  else
    add_phases(measured, events);
  return dumped({{"traceEvents", std::move(events)},
                 {"displayTimeUnit", "ms"},
                 {"otherData",
                  {{"workload", measured.key.workload},
                   {"layout", measured.layout_text()},
                   {"schedule", measured.key.schedule}}}},
                -1);
}

} // namespace cleave
