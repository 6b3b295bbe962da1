#include "slurm_verb.hpp"

#include "../command/shell_words.hpp"
#include "../new_file.hpp"
#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/launch.hpp"
#include "cleave/launch_batch.hpp"
#include "cleave/run.hpp"
#include "cleave/store.hpp"
#include "command.hpp"
#include "lines.hpp"
#include "output.hpp"
#include "slurm_estimate.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <regex>
#include <span>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

const char* const slurm_examples = R"(
Examples:
  cleave slurm jobs/ep.toml --nodes 2 --ranks-per-node 16 --time 00:30:00      shows the script
  cleave slurm jobs/ep.toml --nodes 4 --threads 16 --from ep.h5 -o ep.sh       time and memory estimated
  cleave slurm ep -p class=D --nodes 8 --ranks-per-node 4 --threads 8 --time 4:00:00 --requeue --submit
  cleave slurm jobs/*.toml --nodes 1 --ranks-per-node 8 --at-once 4 --submit   an array, a task a job)";

constexpr std::int64_t most_nodes = 100'000;
constexpr std::int64_t most_of_node = 4'096;
constexpr std::int64_t notice_unasked_s = 120;

[[noreturn]] void refuse_option(const char* option, const std::string& what) {
  throw Error(ErrorKind::bad_input, what, {"", 0, option});
}

std::optional<int> whole_number(const char* option, const SlurmRequest::Text& text,
                                std::int64_t most) {
  if (!text)
    return std::nullopt;
  std::int64_t value = 0;
  const auto [end, status] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (status != std::errc() || end != text->data() + text->size() || value < 1 || value > most)
    refuse_option(option, "must be a whole number from 1 to " + std::to_string(most) + ", not " +
                              in_quotes(*text));
  return static_cast<int>(value);
}

/// What goes into an #SBATCH line must not end it.
std::string word_of(const char* option, const SlurmRequest::Text& text) {
  if (!text)
    return "";
  if (text->empty() || std::ranges::any_of(*text, [](unsigned char c) { return c < ' '; }))
    refuse_option(option, "must be a word, not " + in_quotes(*text));
  return *text;
}

std::string memory_of(const SlurmRequest& request) {
  std::string memory = word_of("--mem", request.memory);
  if (!memory.empty() && !std::regex_match(memory, std::regex("[0-9]{1,12}[KMGT]?")))
    refuse_option("--mem", "must be MiB of a node, or as 4G, not " + in_quotes(memory));
  return memory;
}

std::vector<std::string> sbatch_options(const SlurmRequest& request) {
  for (const std::string& option : request.options)
    if (word_of("--sbatch", option).front() != '-')
      refuse_option("--sbatch",
                    "must be an option of sbatch, as --sbatch=--qos=low, not " + in_quotes(option));
  return request.options;
}

bool by_mpirun(const SlurmRequest& request) {
  const std::string launcher = request.launcher.value_or("srun");
  if (launcher != "srun" && launcher != "mpirun")
    refuse_option("--launcher", "must be srun or mpirun, not " + in_quotes(launcher));
  return launcher == "mpirun";
}

/// Its job, as `cleave run` would be asked for it.
Request run_request(const SlurmRequest& request, const std::string& job) {
  Request run;
  run.job = job;
  run.parameters = request.parameters;
  run.threads = request.threads;
  return run;
}

/// Every job, validated whole.
std::vector<Plan> plans_of(const SlurmRequest& request, const std::vector<Workload>& workloads) {
  std::vector<Plan> plans;
  for (const std::string& job : request.jobs) {
    const Request run = run_request(request, job);
    plans.push_back(make_plan(run, read_job_file(run), workloads));
    if (request.jobs.size() > 1 && !plans.back().timings.empty() &&
        std::ranges::count(plans, plans.back().timings, &Plan::timings) > 1)
      throw Error(ErrorKind::bad_input,
                  "writes the timings file of another job of the array; give each its own",
                  {job, 0, "timings"});
  }
  return plans;
}

/// What kind of going on all of them have in common.
BatchResume resume_of(const SlurmRequest& request, std::span<const Plan> plans,
                      const std::vector<Workload>& workloads) {
  if (!request.requeue)
    return BatchResume::none;
  const auto logs = std::ranges::count_if(plans, [&workloads](const Plan& plan) {
    return keeps_job_log(find_workload(workloads, plan.workload));
  });
  if (logs != 0 && logs != std::ssize(plans))
    refuse_option("--requeue",
                  "jobs that keep a job log and jobs that keep a checkpoint go on in different "
                  "ways; make two batch jobs of them");
  for (const std::string& parameter : request.parameters)
    if (logs > 0 && (parameter.starts_with("joblog=") || parameter.starts_with("resume=")))
      throw Error(ErrorKind::bad_input,
                  "is the script's to give, with --requeue; leave it out: the job log is "
                  "results/NAME-jNUMBER.joblog, or that of CLEAVE_STATE",
                  {"", 0, "-p " + parameter.substr(0, parameter.find('='))});
  return logs == 0 ? BatchResume::checkpoint : BatchResume::job_log;
}

/// How many ranks and threads: at least one of them is the user's to say.
void set_layout(BatchRequest& batch, const SlurmRequest& request) {
  if (!request.ranks_per_node && !request.threads)
    refuse_option("--ranks-per-node",
                  "missing; say how many ranks a node has, or by --threads how many "
                  "cores its one rank uses");
  batch.nodes = whole_number("--nodes", request.nodes, most_nodes).value_or(1);
  batch.tasks_per_node =
      whole_number("--ranks-per-node", request.ranks_per_node, most_of_node).value_or(1);
  batch.cpus_per_task = whole_number("--threads", request.threads, most_of_node).value_or(1);
}

/// Time and memory, given or estimated, and in words where they come from.
void set_limits(BatchRun& run, const SlurmRequest& request, std::span<const Plan> plans,
                const std::vector<Workload>& workloads) {
  BatchRequest& batch = run.request;
  const auto note = [&run](const std::string& what, const std::string& given,
                           const std::string& how) {
    run.notes.push_back(what + ": " + (given.empty() ? how : "as given"));
  };
  Estimated time{0, "the partition's default; --time or --from RESULTS sets it"};
  Estimated memory{0, "the partition's default; --mem or --from RESULTS sets it"};
  const auto longer = [](Estimated& most, Estimated next) {
    if (next.value > most.value)
      most = std::move(next);
  };
  std::optional<Results> measured;
  if (request.results && (batch.time.empty() || batch.memory.empty()))
    measured = read_results(*request.results);
  for (std::size_t i = 0; measured && i < plans.size(); ++i) {
    const Workload& workload = find_workload(workloads, plans[i].workload);
    if (batch.time.empty())
      longer(time, estimated_time(plans[i], workload, *measured, batch));
    if (batch.memory.empty())
      longer(memory, estimated_memory(run_request(request, request.jobs[i]), plans[i], workload,
                                      *measured, batch));
  }
  note("time", batch.time, time.how);
  note("memory", batch.memory, memory.how);
  if (time.value > 0)
    batch.time = batch_time(time.value);
  if (memory.value > 0)
    batch.memory = std::to_string(memory.value) + "M";
}

/// How long before its end the job is told: at most a quarter of its time.
std::string signal_of(const SlurmRequest& request, const std::string& time) {
  std::int64_t notice = notice_unasked_s;
  if (const auto seconds = batch_seconds(time); seconds && *seconds > 0)
    notice = std::min(notice, std::max<std::int64_t>(*seconds / 4, 1));
  if (const auto asked = whole_number("--notice", request.notice, 65'535))
    notice = *asked;
  return "B:USR1@" + std::to_string(notice);
}

/// Of the job file; of several, what they do.
std::string default_name(std::span<const Plan> plans) {
  if (plans.size() == 1 && !plans.front().job_file.file.empty())
    return fs::path(plans.front().job_file.file).stem().string();
  const bool one = std::ranges::all_of(
      plans, [&](const Plan& plan) { return plan.workload == plans.front().workload; });
  return one ? plans.front().workload : "cleave";
}

BatchRun batch_run(const SlurmRequest& request, const std::vector<std::string>& argv,
                   const std::vector<Workload>& workloads) {
  BatchRun run;
  BatchRequest& batch = run.request;
  const std::vector<Plan> plans = plans_of(request, workloads); // a wrong job comes before all else
  set_layout(batch, request);
  batch.exclusive = request.exclusive;
  batch.requeue = request.requeue;
  batch.time = word_of("--time", request.time);
  if (!batch.time.empty() && !batch_seconds(batch.time))
    refuse_option("--time",
                  "must be as sbatch takes it, HH:MM:SS or D-HH:MM, not " + in_quotes(batch.time));
  batch.memory = memory_of(request);
  batch.partition = word_of("--partition", request.partition);
  batch.account = word_of("--account", request.account);
  batch.options = sbatch_options(request);
  run.by_mpirun = by_mpirun(request);
  run.as_root = geteuid() == 0;

  batch.name = default_name(plans);
  const auto at_once = whole_number("--at-once", request.at_once, most_nodes);
  if (at_once && plans.size() == 1)
    refuse_option("--at-once",
                  "is for several jobs, which become an array; name them, or leave it out");
  if (plans.size() > 1)
    batch.array =
        "0-" + std::to_string(plans.size() - 1) + (at_once ? "%" + std::to_string(*at_once) : "");
  batch.output = batch.name + (plans.size() > 1 ? "-%A_%a.log" : "-%j.log");
  run.notes.push_back("written by: " + command::shell_line(argv));
  set_limits(run, request, plans, workloads);
  batch.signal = signal_of(request, batch.time);
  run.folder = fs::current_path();
  run.program = this_program();
  run.jobs = request.jobs;
  for (const std::string& parameter : request.parameters)
    run.settings.insert(run.settings.end(), {"-p", parameter});
  run.resume = resume_of(request, plans, workloads);
  run.state = "results/" + batch.name;
  return run;
}

void write_script(const fs::path& file, const std::string& text, bool force) {
  check_output(file, force);
  try {
    NewFile script(file);
    script.write(std::as_bytes(std::span(text)));
    fs::permissions(script.path(), fs::perms::owner_exec, fs::perm_options::add);
    force ? script.replace() : script.publish();
  } catch (const FileFailure& failure) {
    throw Error(failure.error() == EEXIST ? ErrorKind::bad_input : ErrorKind::io, failure.what(),
                {file.string(), 0, "-o"});
  }
}

} // namespace

CLI::App* add_slurm(CLI::App& app, SlurmRequest& request) {
  CLI::App* verb = app.add_subcommand("slurm", "A job as a batch job of Slurm: writes its script");
  const auto add_switch = [verb](const char* name, bool& value, const char* meaning) {
    verb->add_flag(name, value, meaning)->disable_flag_override();
  };
  const auto add = [verb](const char* name, SlurmRequest::Text& value, const char* meaning,
                          const char* type) {
    return verb->add_option(name, value, meaning)->type_name(type);
  };
  verb->add_option("JOB", request.jobs, "A workload or a job file; several become an array")
      ->type_name("")
      ->required();
  verb->add_option("-p,--parameter", request.parameters, "A parameter of the workload")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add("-N,--nodes", request.nodes, "Nodes (1)", "N");
  add("--ranks-per-node", request.ranks_per_node, "Ranks of each node (1)", "R");
  add("--threads", request.threads, "Workers in a rank, each with a CPU of its own (1)", "T");
  add("--time", request.time, "Limit of the job, as 01:30:00 (the partition's)", "TIME");
  add("--mem", request.memory, "Memory of a node, as 4G (the partition's)", "SIZE");
  add("--from", request.results, "Estimate time and memory from these timings", "RESULTS");
  add("--partition", request.partition, "As of sbatch", "NAME");
  add("--account", request.account, "As of sbatch", "NAME");
  verb->add_option("--sbatch", request.options, "Another option of sbatch, as --sbatch=--qos=low")
      ->type_name("OPTION")
      ->allow_extra_args(false);
  add_switch("--exclusive", request.exclusive, "Ask for whole nodes, as measurements want");
  add("--launcher", request.launcher, "What starts the ranks: srun or mpirun (srun)", "NAME");
  add("--at-once", request.at_once, "Tasks of an array that may run at a time (all)", "N");
  add_switch("--requeue", request.requeue, "Start again while out of time, with a checkpoint");
  add("--notice", request.notice, "Tell the job so long before its end (120)", "SECONDS");
  add("-o,--output", request.output, "Write the script to this file (standard output)", "FILE");
  add_switch("--submit", request.submit, "Hand it in, and print the job's number");
  add_switch("--force", request.force, "Replace an existing script");
  verb->footer(slurm_examples);
  return verb;
}

int carry_out_slurm(const Command& command, const std::vector<Workload>& workloads) {
  const SlurmRequest& request = command.slurm;
  const BatchRun run = batch_run(request, command.request.argv, workloads);
  const std::string text = batch_script(run);
  if (!request.output && !request.submit) {
    say(text);
    return 0;
  }
  const fs::path file = request.output.value_or(run.request.name + ".sh");
  write_script(file, text, request.force);
  say(request.submit ? submit_batch(file) + "\n" : line("files", file.string()));
  return 0;
}

} // namespace cleave::app
