#include "slurm_estimate.hpp"

#include "cleave/error.hpp"
#include "cleave/launch.hpp"
#include "cleave/launch_batch.hpp"
#include "cleave/predict.hpp"
#include "cleave/results.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

constexpr double safety = 2;           // machines, neighbours and disks differ
constexpr double start_s = 120;        // the launcher, the inputs, the files
constexpr std::int64_t rank_mib = 256; // of a rank without any data
constexpr std::int64_t mebibyte = 1 << 20;

/// The point of the same job whose workers are nearest in number.
const Point& nearest_point(const Results& results, const Plan& plan, const Workload& workload,
                           int workers) {
  const std::string hash = config_hash(plan.workload, Values(workload.parameters, plan.parameters));
  const Point* best = nullptr;
  const auto distance = [workers](const Point& point) {
    return std::abs(std::log(static_cast<double>(point.workers) / workers));
  };
  for (const Point& point : results.points)
    if (point.key.workload == plan.workload && point.key.config_hash == hash &&
        !point.samples.empty() && (best == nullptr || distance(point) < distance(*best)))
      best = &point;
  if (best == nullptr)
    throw Error(ErrorKind::bad_input,
                "has no run of " + plan.workload +
                    " with these parameters; measure one, or give --time and --mem",
                {results.path.string(), 0, "--from"});
  return *best;
}

/// A repetition's, by the upper end of what is predicted.
double repetition_s(const Plan& plan, const Point& point, int workers, int workers_a_node) {
  const Machine machine{workers, workers_a_node};
  const Estimate time = predict(read_measured(point.files.front()), plan.schedule, machine).time_s;
  return time.interval ? std::max(time.interval->hi, time.value) : time.value;
}

nlohmann::json dry_run(const Request& request) {
  std::vector<std::string> words = {this_program(), "run",       request.job, "--dry-run",
                                    "--json",       "--threads", "1"};
  for (const std::string& parameter : request.parameters)
    words.insert(words.end(), {"-p", parameter});
  const CommandAnswer answer = ask_command(words);
  auto object =
      nlohmann::json::parse(answer.text.substr(answer.text.rfind('\n') + 1), nullptr, false);
  if (answer.status != 0 || !object.is_object() || !object.contains("memory_bytes"))
    throw Error(ErrorKind::bad_input,
                "cannot tell its memory: " + answer.text + "; give it by --mem",
                {"", 0, request.job});
  return object;
}

std::string told_mib(double mib) {
  return mib < 1024 ? fmt::format("{:.3g} MiB", mib) : fmt::format("{:.3g} GiB", mib / 1024);
}

} // namespace

Estimated estimated_time(const Plan& plan, const Workload& workload, const fs::path& results,
                         int workers, int workers_a_node) {
  const Results measured = read_results(results);
  const Point& point = nearest_point(measured, plan, workload, workers);
  const double each_s = repetition_s(plan, point, workers, workers_a_node);
  const int repetitions = plan.warm_ups + plan.repetitions;
  double work_s = repetitions * each_s;
  if (plan.budget_s > 0)
    work_s = std::min(work_s, plan.warm_ups * each_s + plan.budget_s + each_s);
  const double minutes = std::ceil((work_s * safety + start_s) / 60);
  return {static_cast<std::int64_t>(minutes) * 60,
          fmt::format("{} repetition{} of {:.3g} s, predicted for {} workers from {} ({} worker{}: "
                      "{:.3g} s); twice that, and 2 min to start and to write",
                      repetitions, repetitions == 1 ? "" : "s", each_s, workers,
                      point.files.front().string(), point.workers, point.workers == 1 ? "" : "s",
                      point.time_s().value)};
}

Estimated estimated_memory(const Request& request, int ranks_a_node) {
  const double bytes = dry_run(request).at("memory_bytes").get<double>();
  const double root_mib = std::max(std::ceil(bytes / mebibyte), 1.0);
  const auto data = static_cast<std::int64_t>(std::ceil(root_mib * safety));
  return {data + rank_mib * ranks_a_node,
          fmt::format("twice the {} that the job says its root holds, and {} MiB for each of {} "
                      "rank{} a node",
                      told_mib(root_mib), rank_mib, ranks_a_node, ranks_a_node == 1 ? "" : "s")};
}

std::optional<std::int64_t> batch_seconds(std::string_view text) {
  static const std::regex with_days(R"((\d{1,4})-(\d{1,4})(?::(\d{1,4})(?::(\d{1,4}))?)?)");
  static const std::regex without(R"((\d{1,7})(?::(\d{1,4})(?::(\d{1,4}))?)?)");
  const std::string copy(text);
  std::smatch found;
  const auto part = [&found](std::size_t i) {
    return i < found.size() && found[i].matched ? std::stoll(found[i].str()) : 0;
  };
  if (std::regex_match(copy, found, with_days))
    return ((part(1) * 24 + part(2)) * 60 + part(3)) * 60 + part(4);
  if (!std::regex_match(copy, found, without))
    return std::nullopt;
  return found[3].matched ? (part(1) * 60 + part(2)) * 60 + part(3) : part(1) * 60 + part(2);
}

std::string batch_time(std::int64_t seconds) {
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

} // namespace cleave::app
