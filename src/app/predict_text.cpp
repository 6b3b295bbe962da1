#include "predict_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace cleave::app {
namespace {

using Cells = std::vector<std::string>;
using Json = nlohmann::ordered_json;

std::string seconds(double value) {
  if (value >= 1)
    return fmt::format("{:.4g} s", value);
  return value >= 1e-3 ? fmt::format("{:.4g} ms", value * 1e3)
                       : fmt::format("{:.4g} us", value * 1e6);
}

std::string with_interval(const Estimate& estimate,
                          const std::function<std::string(double)>& text) {
  return estimate.interval ? fmt::format("{} [{}, {}]", text(estimate.value),
                                         text(estimate.interval->lo), text(estimate.interval->hi))
                           : text(estimate.value);
}

std::string three_digits(double value) {
  return fmt::format("{:.3g}", value);
}

Cells cells_of(const Prediction& prediction) {
  return {fmt::format("{}", prediction.machine.workers),
          fmt::format("{}", prediction.machine.nodes()),
          prediction.schedule.text(),
          with_interval(prediction.time_s, seconds),
          fmt::format("{:.3f}", prediction.efficiency.value),
          three_digits(prediction.node_hours.value),
          fmt::format("{:.1f} %", 100 * prediction.regret)};
}

const Cells heading = {"workers",    "nodes",      "schedule", "time",
                       "efficiency", "node-hours", "regret"};

std::vector<Prediction> shown(const PredictReport& report) {
  if (report.all_rows)
    return report.predictions;
  std::map<std::int64_t, std::vector<Prediction>> by_workers;
  for (const Prediction& prediction : report.predictions)
    by_workers[prediction.machine.workers].push_back(prediction);
  std::vector<Prediction> all;
  for (const auto& [workers, predictions] : by_workers)
    all.push_back(best(predictions));
  return all;
}

std::vector<Cells> rows_of(const std::vector<Prediction>& predictions) {
  std::vector<Cells> rows = {heading};
  for (const Prediction& prediction : predictions)
    rows.push_back(cells_of(prediction));
  return rows;
}

/// Columns two blanks apart, but for the last no blank at the end.
std::string aligned(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Cells& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], row[c].size());
  std::string text;
  for (const Cells& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      text += c + 1 < row.size() ? fmt::format("{:<{}}", row[c], widths[c] + 2) : row[c] + "\n";
  return text;
}

std::string source_text(const PredictReport& report) {
  const MeasuredRun& run = report.run;
  return fmt::format("{}, measured on {} worker{} under {}: {}, {} repetition{}{}\n", run.workload,
                     run.workers, run.workers == 1 ? "" : "s", run.schedule, seconds(run.median_s),
                     run.repetitions.size(), run.repetitions.size() == 1 ? "" : "s",
                     run.traced ? ", traced" : "");
}

std::string wish_text(const Wish& wish) {
  return wish.efficiency ? fmt::format("an efficiency of {:g}", *wish.efficiency)
                         : fmt::format("a deadline of {:g} s", wish.deadline_s.value_or(0));
}

Json json_of(const Estimate& estimate) {
  return {{"value", estimate.value},
          {"interval",
           estimate.interval ? Json{estimate.interval->lo, estimate.interval->hi} : Json()}};
}

Json json_of(const Prediction& prediction) {
  return {{"workers", prediction.machine.workers},
          {"nodes", prediction.machine.nodes()},
          {"schedule", prediction.schedule.text()},
          {"time_s", json_of(prediction.time_s)},
          {"efficiency", json_of(prediction.efficiency)},
          {"node_hours", json_of(prediction.node_hours)},
          {"bound_s", prediction.bound_s},
          {"regret", prediction.regret}};
}

std::string columns(const Estimate& estimate) {
  return estimate.interval
             ? fmt::format("{},{},{}", estimate.value, estimate.interval->lo, estimate.interval->hi)
             : fmt::format("{},,", estimate.value);
}

} // namespace

std::string answer_text(const PredictReport& report) {
  if (!report.answer)
    return fmt::format("no machine of those above has {}\n", wish_text(report.wish));
  const Prediction& answer = *report.answer;
  const Machine& machine = answer.machine;
  const std::int64_t nodes = machine.nodes();
  const bool part = machine.workers % machine.workers_a_node != 0;
  return fmt::format("ask for {} node{}{}: {} under {}, efficiency {:.2f}, {} node-hours\n", nodes,
                     nodes == 1 ? "" : "s",
                     part ? fmt::format(" and {} cores", machine.workers)
                          : fmt::format(" ({} cores)", machine.workers),
                     with_interval(answer.time_s, seconds), answer.schedule.text(),
                     answer.efficiency.value, three_digits(answer.node_hours.value));
}

std::string predict_text(const PredictReport& report) {
  std::string text = source_text(report) + "\n" + aligned(rows_of(shown(report)));
  text +=
      fmt::format("\n{}nodes of {} cores; efficiency against one worker, regret against max(total "
                  "/ workers, longest)\n",
                  report.all_rows ? "" : "the fastest schedule of each machine; ",
                  report.predictions.front().machine.workers_a_node);
  for (const std::string& note : report.run.notes)
    text += "note: " + note + "\n";
  return text + answer_text(report);
}

std::string predict_markdown(const PredictReport& report) {
  std::string text;
  for (const Cells& row : rows_of(report.predictions)) {
    text += "|";
    for (const std::string& cell : row)
      text += " " + cell + " |";
    text += "\n";
    if (row == heading)
      text += "|" + fmt::format("{:-<{}}|", "", 3).append("---|---|---|---|---|---|") + "\n";
  }
  text += "\n" + source_text(report);
  for (const std::string& note : report.run.notes)
    text += "Note: " + note + "\n";
  return text + answer_text(report);
}

std::string predict_csv(const PredictReport& report) {
  std::string text = "workers,nodes,schedule,time_s,time_lo_s,time_hi_s,efficiency,efficiency_lo,"
                     "efficiency_hi,node_hours,node_hours_lo,node_hours_hi,bound_s,regret\n";
  for (const Prediction& prediction : report.predictions) {
    const std::string schedule = prediction.schedule.text();
    const bool comma = schedule.find(',') != std::string::npos;
    text += fmt::format("{},{},{},{},{},{},{},{}\n", prediction.machine.workers,
                        prediction.machine.nodes(), comma ? "\"" + schedule + "\"" : schedule,
                        columns(prediction.time_s), columns(prediction.efficiency),
                        columns(prediction.node_hours), prediction.bound_s, prediction.regret);
  }
  return text;
}

std::string predict_json(const PredictReport& report) {
  const MeasuredRun& run = report.run;
  Json object = {{"workload", run.workload},
                 {"schedule", run.schedule},
                 {"workers", run.workers},
                 {"median_s", run.median_s},
                 {"repetitions", run.repetitions.size()},
                 {"traced", run.traced},
                 {"notes", run.notes},
                 {"cores_per_node", report.predictions.front().machine.workers_a_node},
                 {"costs",
                  {{"chunk_s", run.overheads.chunk_s},
                   {"draw_s", run.overheads.draw_s},
                   {"message_s", run.overheads.message_s},
                   {"request_s", run.overheads.request_s},
                   {"nap_s", run.overheads.nap_s},
                   {"bytes_per_s", run.overheads.bytes_per_s}}}};
  object["predictions"] = Json::array();
  for (const Prediction& prediction : report.predictions)
    object["predictions"].push_back(json_of(prediction));
  object["wish"] = {
      {"efficiency", report.wish.efficiency ? Json(*report.wish.efficiency) : Json()},
      {"deadline_s", report.wish.deadline_s ? Json(*report.wish.deadline_s) : Json()}};
  object["ask_for"] = report.answer ? json_of(*report.answer) : Json();
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace cleave::app
