#include "../words.hpp"
#include "cleave/provenance.hpp"
#include "settings.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace cleave {
namespace {

constexpr int most_repetitions = 1'000'000;
constexpr int most_under_budget = 1'000; // when only a budget was given
constexpr int most_threads = 4'096;
constexpr int most_ranks = 1'000'000;

bool names_job_file(const std::string& job) {
  return job.ends_with(".toml") || job.find('/') != std::string::npos;
}

Parameter whole(const std::string& name, const std::string& default_value, double least,
                double most) {
  return {name, "", ParameterType::integer, default_value, false, "", least, most, {}};
}

Parameter word(const std::string& name, const std::string& default_value,
               ParameterType type = ParameterType::text) {
  Parameter parameter;
  parameter.name = name;
  parameter.type = type;
  parameter.default_value = default_value;
  return parameter;
}

Parameter seconds(const std::string& name, const std::string& default_value) {
  return {name, "", ParameterType::real, default_value, false, "s", 0, 1e9, {}};
}

Parameter on_off(const std::string& name) {
  Parameter parameter = word(name, "false");
  parameter.choices = {"true", "false"};
  return parameter;
}

// The command line's settings, under the names that the job file gives them.
void add_command_line(Given& given, const Request& request) {
  const auto add = [&](const char* name, const char* option, const Request::Text& text) {
    if (text)
      given[name] = {*text, {"", 0, option}, {}};
  };
  add("schedule", "--schedule", request.schedule);
  add("threads", "--threads", request.threads);
  add("warmup", "--warmup", request.warm_ups);
  add("repetitions", "--repetitions", request.repetitions);
  add("budget_s", "--budget", request.budget_s);
  add("timings", "-o", request.timings);
  add("result", "--result", request.result);
  add("seed", "--seed", request.seed);
  add("simd", "--simd", request.simd);
  add("checkpoint", "--checkpoint", request.checkpoint);
  add("mtbf_s", "--mtbf", request.mtbf_s);
  add("trace", "--trace", request.trace ? Request::Text("true") : std::nullopt);
  add("force", "--force", request.force ? Request::Text("true") : std::nullopt);
}

void add_parameters(Given& given, const Request& request) {
  std::set<std::string> keys;
  for (const std::string& text : request.parameters) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(ErrorKind::bad_input, "must be KEY=VALUE, not " + in_quotes(text), {"", 0, "-p"});
    const std::string key = text.substr(0, equals);
    if (!keys.insert(key).second)
      throw Error(ErrorKind::bad_input, "is given twice by -p; give it once", {"", 0, key});
    given[key] = {text.substr(equals + 1), {"", 0, key}, {}};
  }
}

Schedule read_schedule(const Values& settings) {
  try {
    return Schedule::parse(settings.text("schedule"));
  } catch (const Error& error) {
    throw settings.error("schedule", error.message());
  }
}

int read_threads(const Given& given) {
  const auto found = given.find("threads");
  if (found == given.end() || found->second.text == "auto")
    return 0;
  const Parameter threads = whole("threads", "1", 1, most_threads);
  try {
    return static_cast<int>(Values({threads}, {*found}).integer("threads"));
  } catch (const Error& error) {
    throw Error(error.kind(),
                "must be auto or a whole number, " + range_text(threads) + ", not " +
                    in_quotes(found->second.text),
                error.place());
  }
}

// For a setting, no text is no value: what is left out has its default.
void refuse_empty(const Given& given) {
  for (const auto& [name, setting] : given)
    if (setting.text.empty())
      throw Error(ErrorKind::bad_input, "must not be empty; leave it out for the default",
                  setting.place);
}

std::filesystem::path read_timings_name(const Values& settings) {
  std::filesystem::path file = settings.file("timings");
  const std::string suffix = lower_case(file.extension().string());
  if (!file.empty() && suffix != ".h5" && suffix != ".hdf5")
    throw settings.error("timings", "must be a name that ends in .h5 or .hdf5, not " +
                                        in_quotes(settings.text("timings")));
  return file;
}

void read_settings(Plan& plan, const Given& given) {
  refuse_empty(given);
  const Values settings(setting_parameters(), given);
  plan.schedule = read_schedule(settings);
  plan.threads = read_threads(given);
  plan.warm_ups = static_cast<int>(settings.integer("warmup"));
  plan.budget_s = settings.real("budget_s");
  plan.repetitions = static_cast<int>(settings.integer("repetitions"));
  if (plan.budget_s > 0 && !given.contains("repetitions"))
    plan.repetitions = most_under_budget;
  plan.timings = read_timings_name(settings);
  plan.result = settings.file("result");
  plan.checkpoint = settings.file("checkpoint");
  plan.mtbf_s = settings.real("mtbf_s");
  plan.trace = settings.text("trace") == "true";
  plan.force = settings.text("force") == "true";
  plan.seed = static_cast<std::uint64_t>(settings.integer("seed"));
  plan.simd = settings.text("simd");
}

// Whether and where results are kept for a later launch.
void read_checkpoint(Plan& plan, const Request& request, const Workload& workload) {
  const auto refuse = [](const char* option, const std::string& why) {
    return Error(ErrorKind::bad_input, why, {"", 0, option});
  };
  const char* const option = request.checkpoint ? "--checkpoint" : "--resume";
  if (request.no_checkpoint && (request.checkpoint || request.resume))
    throw refuse(option, "and --no-checkpoint exclude each other; give one of them");
  if (!workload.resumes_by.empty() && (request.checkpoint || request.resume))
    throw refuse(option,
                 "is not for " + workload.name +
                     ", which keeps what is done in a file of its own: " + workload.resumes_by);
  if (request.resume && plan.checkpoint.empty() && plan.timings.empty())
    throw refuse("--resume",
                 "does not know with what; give --checkpoint DIR, or -o FILE as before");
  if (request.accept_new_binary && !request.resume)
    throw refuse("--accept-new-binary", "is of use with --resume alone");
  plan.checkpoints = !request.no_checkpoint && workload.resumes_by.empty();
  if (!plan.checkpoints)
    plan.checkpoint.clear();
  plan.resume = request.resume;
  plan.accept_new_binary = request.accept_new_binary;
}

// One option that stands alone, validated like a setting.
Values single(const Parameter& parameter, const std::string& option, const Request::Text& text) {
  Given given;
  if (text)
    given[parameter.name] = {*text, {"", 0, option}, {}};
  return {{parameter}, given};
}

std::string read_file(const std::string& file) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorKind::bad_input, "cannot be read: " + why, {file, 0, ""});
  };
  std::error_code ignored;
  const auto there = std::filesystem::status(file, ignored);
  if (std::filesystem::is_directory(there))
    throw refuse("is a directory");
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) // may never end
    throw refuse("is not a regular file; write the job to a file and name that");
  const std::ifstream stream(file, std::ios::binary);
  if (!stream.is_open())
    throw refuse(std::strerror(errno));
  std::ostringstream text;
  text << stream.rdbuf();
  if (text.bad())
    throw refuse(std::strerror(errno));
  return text.str();
}

// Root's file, or its reason for having none, on every rank.
std::optional<JobText> share_job_file(const Comm& comm, const Request& request) {
  if (!names_job_file(request.job))
    return std::nullopt;
  std::string message;
  if (comm.is_root())
    try {
      message = "+" + read_file(request.job);
    } catch (const Error& error) {
      message = "-" + error.message();
    }
  message = comm.broadcast(std::move(message));
  if (message.front() == '-')
    throw Error(ErrorKind::bad_input, message.substr(1), {request.job, 0, ""});
  return JobText{request.job, message.substr(1)};
}

// Another build may compute other bytes.
void require_one_program(const Comm& comm) {
  const std::string id = machine_facts().at("build_id");
  if (comm.agree({checksum(std::as_bytes(std::span(id)))}).unanimous())
    return;
  const std::vector<std::string> all = comm.all_gather(id);
  const auto other =
      std::ranges::find_if(all, [&](const std::string& its) { return its != all[0]; });
  const auto rank = static_cast<int>(other - all.begin());
  throw Error(ErrorKind::bad_input, "rank " + std::to_string(rank) + " (host " +
                                        comm.host_of(rank) +
                                        ") runs another program than root (build id " + *other +
                                        ", not " + all[0] + "); start the same one on every rank");
}

} // namespace

std::vector<Parameter> setting_parameters() {
  return {word("schedule", "auto"),
          word("threads", "auto"),
          whole("seed", "0", 0, 9.2e18),
          whole("warmup", "0", 0, most_repetitions),
          whole("repetitions", "1", 1, most_repetitions),
          seconds("budget_s", "0"),
          word("timings", "", ParameterType::output_file),
          word("result", "", ParameterType::output_file),
          word("checkpoint", "", ParameterType::output_file),
          seconds("mtbf_s", "86400"),
          on_off("trace"),
          on_off("force"),
          word("simd", "")};
}

const Workload& find_workload(const std::vector<Workload>& workloads, const std::string& name,
                              const ErrorPlace& place) {
  const auto found = std::find_if(workloads.begin(), workloads.end(),
                                  [&](const Workload& w) { return w.name == name; });
  if (found != workloads.end())
    return *found;
  std::vector<std::string> names;
  for (const Workload& workload : workloads)
    names.push_back(workload.name);
  throw Error(ErrorKind::bad_input, unknown_name("workload", name, names), place);
}

std::optional<JobText> read_job_file(const Request& request) {
  if (!names_job_file(request.job))
    return std::nullopt;
  return JobText{request.job, read_file(request.job)};
}

Plan make_plan(const Request& request, const std::optional<JobText>& job,
               const std::vector<Workload>& workloads) {
  JobFile file;
  if (job)
    file = parse_job_file(*job, workloads);
  else
    file.workload = request.job;
  const Workload& workload = find_workload(workloads, file.workload);
  if (!workload.unavailable.empty())
    throw Error(ErrorKind::bad_input,
                "the workload " + workload.name + " is not available: " + workload.unavailable);
  add_parameters(file.parameters, request);
  const Values checked(workload.parameters, file.parameters);
  add_command_line(file.settings, request);
  Plan plan;
  plan.workload = file.workload;
  plan.parameters = file.parameters;
  read_settings(plan, file.settings);
  read_checkpoint(plan, request, workload);
  plan.dry_run = request.dry_run;
  plan.patience_s = requested_patience(request);
  plan.task_timeout_s = requested_task_timeout(request);
  plan.job_file = job.value_or(JobText());
  plan.argv = request.argv;
  return plan;
}

Plan agree_on_plan(const Comm& comm, const Request& request,
                   const std::vector<Workload>& workloads) {
  require_one_program(comm);
  std::string asked; // the program's name may differ: nodes may keep it in different places
  for (std::size_t i = 1; i < request.argv.size(); ++i)
    asked.append(request.argv[i]).push_back('\0');
  if (!comm.agree({checksum(std::as_bytes(std::span(asked))), 0, 0, 0}).unanimous())
    throw Error(ErrorKind::bad_input,
                "the ranks were started with different arguments; start all with the same");
  const std::optional<int> ranks = requested_ranks(request);
  if (ranks && *ranks != comm.size())
    throw Error(ErrorKind::bad_input,
                "is " + std::to_string(*ranks) + ", but the launcher started " +
                    std::to_string(comm.size()) + (comm.size() == 1 ? " rank" : " ranks") +
                    "; leave -n out under a launcher",
                {"", 0, "-n"});
  return make_plan(request, share_job_file(comm, request), workloads);
}

std::optional<std::string> requested_workload(const Request& request,
                                              const std::vector<Workload>& workloads) {
  if (!names_job_file(request.job))
    return request.job;
  try {
    return parse_job_file({request.job, read_file(request.job)}, workloads).workload;
  } catch (const Error&) { // told later, where all ranks hear of it
    return std::nullopt;
  }
}

std::optional<int> requested_ranks(const Request& request) {
  if (!request.ranks)
    return std::nullopt;
  return static_cast<int>(
      single(whole("ranks", "1", 1, most_ranks), "-n", request.ranks).integer("ranks"));
}

int requested_threads(const Request& request) {
  Given given;
  if (request.threads)
    given["threads"] = {*request.threads, {"", 0, "--threads"}, {}};
  return read_threads(given);
}

double requested_patience(const Request& request) {
  Parameter patience = seconds("patience", "60");
  patience.minimum = 0.001;
  return single(patience, "--patience", request.patience_s).real("patience");
}

double requested_task_timeout(const Request& request) {
  return single(seconds("task_timeout", "0"), "--task-timeout", request.task_timeout_s)
      .real("task_timeout");
}

} // namespace cleave
