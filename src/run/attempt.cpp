#include "attempt.hpp"

#include "cleave/provenance.hpp"
#include "cleave/slurm.hpp"
#include "outputs.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

namespace cleave {
namespace {

double utc_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? "" : text;
}

nlohmann::json times_of(double begun_s, double last_s) {
  return {{"begun_utc", utc_text(static_cast<std::int64_t>(begun_s))},
          {"kept_until_utc", utc_text(static_cast<std::int64_t>(last_s))}};
}

Facts attempt_facts(int number, const nlohmann::json& earlier, double lost_s) {
  return {{"attempt", std::to_string(number)},
          {"attempts", earlier.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
          {"lost_s", std::to_string(lost_s)}};
}

} // namespace

CheckpointOptions checkpoint_options(const Plan& plan, const std::filesystem::path& timings) {
  CheckpointOptions options;
  options.folder = plan.checkpoint.empty() ? beside(timings, ".checkpoint") : plan.checkpoint;
  options.at_once = plan.resume || !plan.checkpoint.empty();
  options.resume = plan.resume;
  options.replace = plan.force;
  options.mtbf_s = plan.mtbf_s;
  if (plan.accept_new_binary)
    options.may_differ = {"build_id"};
  return options;
}

int first_repetition(const Comm& comm, const Plan& plan, const Checkpoint& checkpoint) {
  std::uint64_t done = 0; // without a gap; known to root
  while (checkpoint.done().contains(static_cast<int>(done)))
    ++done;
  const auto last = static_cast<std::uint64_t>(plan.warm_ups + plan.repetitions - 1);
  return static_cast<int>(comm.agree({std::min(done, last)}).highest[0]);
}

bool will_take_long(const Progress& progress) noexcept {
  constexpr double long_s = 600;
  constexpr double sure_s = 10; // by then a guess is worth something
  if (std::isnan(progress.left_s))
    return progress.elapsed_s >= long_s / 10;
  return progress.elapsed_s >= sure_s && progress.elapsed_s + progress.left_s >= long_s;
}

std::string how_to_resume(const Checkpoint& checkpoint) {
  const std::string folder = checkpoint.folder().string();
  return "what was computed since is kept in " + folder + "; go on by --checkpoint " + folder +
         " --resume";
}

std::optional<std::uint64_t> known_checksum(const Checkpoint& checkpoint) {
  if (checkpoint.done().empty() ||
      checkpoint.earlier().back().facts.at("build_id") != machine_facts().at("build_id"))
    return std::nullopt;
  return checkpoint.done().begin()->second;
}

Facts facts_of_answer(const Plan& plan, const Workload& workload, const Values& values,
                      const std::string& simd, const std::string& inputs) {
  Facts facts = {{"workload", plan.workload},
                 {"inputs", inputs},
                 {"seed", std::to_string(plan.seed)},
                 {"instruction set", simd},
                 {"warmup", std::to_string(plan.warm_ups)},
                 {"build_id", machine_facts().at("build_id")}};
  // Such as a pipe: it may give others the next time.
  if (inputs.find(unreadable) != std::string::npos)
    facts["inputs"] += " " + utc_text(static_cast<std::int64_t>(utc_s()));
  const auto texts = values.all();
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (const ParameterType type = workload.parameters[i].type; type == ParameterType::output_file)
      facts["parameter " + texts[i].first] = texts[i].second.empty() ? "" : "given"; // any name
    else if (type != ParameterType::input_file)
      facts["parameter " + texts[i].first] = texts[i].second;
  return facts;
}

Facts about_attempt(const Layout& layout) {
  std::string job = environment("SLURM_JOB_ID");
  if (const std::string index = environment("SLURM_ARRAY_TASK_ID"); !index.empty())
    job = environment("SLURM_ARRAY_JOB_ID") + "_" + index;
  return {{"slurm_job", job},
          {"host", layout.nodes().front().name},
          {"pid", std::to_string(getpid())},
          {"layout", layout.shape()}};
}

Facts attempt_facts(const Checkpoint& checkpoint) {
  nlohmann::json attempts = nlohmann::json::array();
  double lost_s = 0;
  const auto& earlier = checkpoint.earlier();
  for (std::size_t i = 0; i < earlier.size(); ++i) {
    const Attempt& attempt = earlier[i];
    const double next_s = i + 1 < earlier.size() ? earlier[i + 1].begun_s : utc_s();
    lost_s += std::max(next_s - attempt.last_s, 0.0);
    nlohmann::json said = times_of(attempt.begun_s, attempt.last_s);
    said["attempt"] = attempt.number;
    said["repetitions"] = attempt.repetitions;
    for (const auto& [name, text] : attempt.about)
      said[name] = text;
    attempts.push_back(std::move(said));
  }
  return attempt_facts(checkpoint.attempt(), attempts, lost_s);
}

Facts attempt_facts(const EarlierWork& earlier) {
  nlohmann::json said = times_of(earlier.begun_utc_s, earlier.last_utc_s);
  said["tasks"] = earlier.tasks;
  return attempt_facts(std::max(slurm_attempt(), 2), nlohmann::json::array({said}),
                       std::max(utc_s() - earlier.last_utc_s, 0.0));
}

} // namespace cleave
