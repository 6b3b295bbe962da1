#include "attempt.hpp"

#include "cleave/provenance.hpp"
#include "outputs.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <chrono>
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

} // namespace

Facts facts_of_answer(const Plan& plan, const Workload& workload, const Values& values,
                      const std::string& simd, const std::string& inputs) {
  Facts facts = {{"workload", plan.workload},
                 {"inputs", inputs},
                 {"seed", std::to_string(plan.seed)},
                 {"instruction set", simd},
                 {"warmup", std::to_string(plan.warm_ups)},
                 {"build_id", machine_facts().at("build_id")}};
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
    nlohmann::json said = {{"attempt", attempt.number},
                           {"begun_utc", utc_text(static_cast<std::int64_t>(attempt.begun_s))},
                           {"kept_until_utc", utc_text(static_cast<std::int64_t>(attempt.last_s))},
                           {"repetitions", attempt.repetitions}};
    for (const auto& [name, text] : attempt.about)
      said[name] = text;
    attempts.push_back(std::move(said));
  }
  return {{"attempt", std::to_string(checkpoint.attempt())},
          {"attempts", attempts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)},
          {"lost_s", std::to_string(lost_s)}};
}

} // namespace cleave
