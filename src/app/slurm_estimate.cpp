#include "slurm_estimate.hpp"

#include "cleave/error.hpp"
#include "cleave/launch.hpp"
#include "cleave/predict.hpp"
#include "cleave/results.hpp"
#include "cleave/store.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <regex>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

constexpr double safety = 2;        // machines, neighbours and disks differ
constexpr double start_s = 120;     // the launcher, the inputs, the files
constexpr double rank_mib = 256;    // of a rank without any data
constexpr double held_safety = 1.5; // on what was measured: memory differs less than time
constexpr double launcher_mib = 128;
constexpr double mebibyte = 1 << 20;

// Of jobs that go on from a log: they do not change the work.
constexpr std::array how_to_go_on = {"joblog", "resume", "retry_failed"};

/// Whether a run had these parameters, and did all the work.
bool is_of_job(const Point& point, const Workload& workload, const Values& values) {
  if (!keeps_job_log(workload))
    return point.key.config_hash == config_hash(workload.name, values);
  if (point.work < static_cast<double>(point.tasks))
    return false; // it went on where another run had ended
  if (point.key.config_hash == config_hash(workload.name, values))
    return true;
  const auto matters = [](const auto& parameter) {
    return std::ranges::find(how_to_go_on, parameter.first) == how_to_go_on.end();
  };
  std::map<std::string, std::string> wanted;
  std::map<std::string, std::string> had;
  std::ranges::copy_if(values.all(), std::inserter(wanted, wanted.end()), matters);
  std::ranges::copy_if(point.parameters, std::inserter(had, had.end()), matters);
  return wanted == had;
}

/// The point of the same job whose workers, and threads of a rank, are nearest in number.
const Point& nearest_point(const Results& results, const Plan& plan, const Workload& workload,
                           const BatchRequest& batch) {
  const Values values(workload.parameters, plan.parameters);
  const int workers = batch.nodes * batch.tasks_per_node * batch.cpus_per_task;
  const auto apart = [](double a, double b) { return std::abs(std::log(a / b)); };
  const auto distance = [&](const Point& point) {
    return apart(point.workers, workers) + apart(point.key.threads, batch.cpus_per_task);
  };
  const Point* best = nullptr;
  for (const Point& point : results.points)
    if (point.key.workload == plan.workload && !point.samples.empty() &&
        is_of_job(point, workload, values) &&
        (best == nullptr || distance(point) < distance(*best)))
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

/// MiB that the job says its root holds, in a dry run.
double data_of(const Request& request) {
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
  return std::max(std::ceil(object.at("memory_bytes").get<double>() / mebibyte), 1.0);
}

std::string told_mib(double mib) {
  return mib < 1024 ? fmt::format("{:.3g} MiB", mib) : fmt::format("{:.3g} GiB", mib / 1024);
}

/// MiB that the processes of a run held at the most; 0: not known.
struct Held {
  double root = 0;
  double other = 0;   ///< any other rank
  double program = 0; ///< one that a task has started
};

Held held_in(const Point& point) {
  Held held;
  const auto grow = [](double& most, std::uint64_t bytes) {
    most = std::max(most, static_cast<double>(bytes) / mebibyte);
  };
  read_timings(point.files, [&](const fs::path& /*file*/, const Timings& timings) {
    for (const Repetition& repetition : timings.run)
      for (const RankTimes& rank : repetition.ranks) {
        grow(&rank == &repetition.ranks.front() ? held.root : held.other, rank.peak_memory_bytes);
        grow(held.program, rank.program_memory_bytes);
      }
  });
  return held;
}

std::string of_each(const char* what, int count) {
  return fmt::format("{} {}{} a node", count, what, count == 1 ? "" : "s");
}

/// As the job says of itself, for nothing has been measured.
Estimated guessed_memory(double data_mib, int ranks_a_node) {
  return {
      static_cast<std::int64_t>(std::ceil(data_mib * safety + rank_mib * ranks_a_node)),
      fmt::format("twice the {} that the job says its root holds, and {:.0f} MiB for each of {}",
                  told_mib(data_mib), rank_mib, of_each("rank", ranks_a_node))};
}

} // namespace

bool keeps_job_log(const Workload& workload) {
  return std::ranges::find(workload.parameters, "joblog", &Parameter::name) !=
         workload.parameters.end();
}

Estimated estimated_time(const Plan& plan, const Workload& workload, const Results& measured,
                         const BatchRequest& batch) {
  const int workers_a_node = batch.tasks_per_node * batch.cpus_per_task;
  const int workers = batch.nodes * workers_a_node;
  const Point& point = nearest_point(measured, plan, workload, batch);
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

Estimated estimated_memory(const Request& request, const Plan& plan, const Workload& workload,
                           const Results& measured, const BatchRequest& batch) {
  const int ranks = batch.tasks_per_node;
  const int workers = ranks * batch.cpus_per_task;
  const Point& point = nearest_point(measured, plan, workload, batch);
  Held held = held_in(point);
  if (held.root == 0) // a file before version 1.2
    return guessed_memory(data_of(request), ranks);
  const bool others = batch.nodes * ranks > 1;
  if (held.other == 0 && others) // they do without what root alone holds
    held.other = std::max(held.root - (keeps_job_log(workload) ? 0 : data_of(request)),
                          std::min(held.root, rank_mib));
  const double node = std::max(held.root, others ? held.other : 0) + held.other * (ranks - 1) +
                      held.program * workers;
  std::string how =
      fmt::format("{} times what was held in {} ({}): {} by root", held_safety,
                  point.files.front().string(), point.layout_text(), told_mib(held.root));
  if (others)
    how += fmt::format(", {} by any other of {}", told_mib(held.other), of_each("rank", ranks));
  if (held.program > 0)
    how += fmt::format(", {} by a program of each of {}", told_mib(held.program),
                       of_each("worker", workers));
  how += fmt::format("; and {:.0f} MiB for the launcher", launcher_mib);
  return {static_cast<std::int64_t>(std::ceil(node * held_safety + launcher_mib)), std::move(how)};
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
