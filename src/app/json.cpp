#include "json.hpp"

#include <nlohmann/json.hpp>

namespace cleave::app {
namespace {

using Json = nlohmann::ordered_json;

Json error_object(const Error& error) {
  const ErrorPlace& place = error.place();
  return {{"kind", name(error.kind())},
          {"message", error.message()},
          {"file", place.file.empty() ? Json() : Json(place.file)},
          {"line", place.line == 0 ? Json() : Json(place.line)},
          {"key", place.key.empty() ? Json() : Json(place.key)}};
}

Json facts_object(const Summary& facts) {
  Json object = Json::object();
  for (const Fact& fact : facts)
    object[fact.name] = std::visit([](const auto& value) { return Json(value); }, fact.value);
  return object;
}

Json layout_counts(const Layout& layout) {
  return {{"nodes", layout.nodes().size()},
          {"ranks", layout.ranks().size()},
          {"threads", layout.threads()}};
}

// What is not known is null.
Json slurm_object(const LaunchFacts& facts, const Circumstances& circumstances) {
  const SlurmFacts& slurm = facts.slurm;
  if (slurm.job == 0)
    return {};
  const auto known = [](std::int64_t value) { return value > 0 ? Json(value) : Json(); };
  return {
      {"job", slurm.job},
      {"nodes", known(slurm.nodes)},
      {"tasks", known(slurm.tasks)},
      {"cpus_per_task", known(facts.slurm_cpus_per_task)},
      {"cpus", known(slurm.cpus)},
      {"memory_mib", known(slurm.memory_mib)},
      {"seconds_left", circumstances.seconds_left ? Json(*circumstances.seconds_left) : Json()}};
}

// A broken text must not cost the whole object: what is no UTF-8 is replaced.
std::string dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json file_names(const std::vector<std::filesystem::path>& files) {
  Json names = Json::array();
  for (const std::filesystem::path& file : files)
    names.push_back(file.string());
  return names;
}

// By rank: the most that each has held.
Json peak_memory(const std::vector<Repetition>& run) {
  Json peaks = Json::array();
  if (!run.empty())
    for (const RankTimes& rank : run.back().ranks)
      peaks.push_back(rank.peak_memory_bytes);
  return peaks;
}

void add_outcome(Json& object, const RunReport& report) {
  object["repetitions"] = report.timings.run.size();
  object["median_s"] = report.median_s; // NaN becomes null
  object["resumed"] = report.resumed();
  object["interval_s"] =
      report.interval_s ? Json{report.interval_s->lo, report.interval_s->hi} : Json();
  object["rate"] = report.rate ? Json(*report.rate) : Json();
  object["rate_unit"] = report.rate_unit;
  object["imbalance"] = report.imbalance_percent;
  object["chunks"] = report.chunks;
  object["task_s"] = report.task_s;
  object["peak_memory_bytes"] = peak_memory(report.timings.run);
  object["verified"] = report.verified();
  object["how_verified"] = report.verdict.how;
  object["checksum"] = hex16(report.checksum);
  object["result"] = facts_object(report.result);
  object["timings_file"] =
      report.timings_file.empty() ? Json() : Json(report.timings_file.string());
  if (!report.errors.empty())
    object["error"] = error_object(report.errors.front());
}

} // namespace

std::string report_json(const RunReport& report) {
  Json object;
  object["workload"] = report.start.workload;
  object["parameters"] = facts_object(report.start.parameters);
  object["layout"] = layout_counts(report.start.layout);
  object["schedule"] = report.start.schedule;
  object["tasks"] = report.start.tasks;
  object["leaves"] = report.start.leaves;
  object["memory_bytes"] = report.start.memory_bytes;
  object["dry_run"] = report.dry_run;
  if (!report.start.preview.empty())
    object["preview"] = report.start.preview;
  object["files"] = file_names(report.dry_run ? report.start.files : report.files);
  if (!report.dry_run)
    add_outcome(object, report);
  return dump(object);
}

std::string error_json(const Error& error) {
  return dump(Json{{"error", error_object(error)}});
}

std::string layout_json(const Layout& layout, const std::string& data_path,
                        const Circumstances& circumstances) {
  Json nodes = Json::array();
  for (const NodePlace& node : layout.nodes())
    nodes.push_back({{"name", node.name},
                     {"cpu_model", node.cpu_model},
                     {"cores", node.cores},
                     {"cpus", node.cpus},
                     {"sockets", node.sockets},
                     {"quota_cpus", node.quota_cpus > 0 ? Json(node.quota_cpus) : Json()},
                     {"shm_bytes", node.shm_bytes}});
  Json ranks = Json::array();
  for (const RankPlace& rank : layout.ranks())
    ranks.push_back({{"rank", ranks.size()},
                     {"node", rank.node},
                     {"pid", rank.pid},
                     {"threads", rank.threads},
                     {"cpus", cpu_list(rank.cpus)},
                     {"cores", rank.cores.size()}});
  Json found = Json::array();
  for (const Finding& finding : findings(layout, circumstances))
    found.push_back(
        {{"severity", finding.severity == Finding::Severity::warning ? "warning" : "note"},
         {"what", finding.what},
         {"mend", finding.mend.empty() ? Json() : Json(finding.mend)}});
  Json object = {{"summary", layout.summary()},
                 {"shape", layout.shape()},
                 {"workers", layout.workers()},
                 {"threads", layout.threads()},
                 {"oversubscribed", layout.oversubscribed()},
                 {"nodes", nodes},
                 {"ranks", ranks},
                 {"slurm", slurm_object(layout.facts(), circumstances)},
                 {"findings", found}};
  if (!data_path.empty())
    object["data_path"] = data_path;
  return dump(object);
}

} // namespace cleave::app
