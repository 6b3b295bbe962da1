// `cleave study`, top to bottom: options -> plan -> folder -> rounds -> study.h5 and a table.
#include "study_verb.hpp"

#include "../command/shell_words.hpp"
#include "../words.hpp"
#include "cleave/discover.hpp"
#include "cleave/error.hpp"
#include "cleave/results.hpp"
#include "cleave/study.hpp"
#include "cleave/study_table.hpp"
#include "command.hpp"
#include "output.hpp"
#include "study_batch.hpp"
#include "study_text.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <csignal>
#include <string_view>

namespace cleave::app {
namespace {

namespace fs = std::filesystem;

const char* const study_examples = R"(
Examples:
  cleave study jobs/studies/ep-strong.toml --dry-run      every point, and what starts it
  cleave study jobs/studies/ep-strong.toml                into results/ep-strong
  cleave study my.toml -o results/monday --budget 30m     whole launches within half an hour
  cleave study my.toml -o results/monday --resume         goes on where that ended
  cleave study my.toml --resume --only ranks=4 --only threads=1
  cleave study my.toml --launcher slurm                   one batch job a number of nodes

Exit status: 0 done, or out of budget; 2 bad input; 3 a launch failed; 75 interrupted.)";

// A handler can reach nothing else.
std::atomic<bool> asked_to_stop = false;

extern "C" void note_stop(int /*number*/) {
  asked_to_stop.store(true);
}

// While it lives, the first signal that asks this program to end is noted; a second one ends it,
// but for SIGUSR1, which batch scripts send again and again.
class StopSignals {
public:
  StopSignals() {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      struct sigaction action {};
      action.sa_handler = note_stop;
      action.sa_flags = numbers[i] == SIGUSR1 ? SA_RESTART : static_cast<int>(SA_RESETHAND);
      sigaction(numbers[i], nullptr, &before_[i]);
      if (before_[i].sa_handler != SIG_IGN) // as nohup has it
        sigaction(numbers[i], &action, nullptr);
    }
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (numbers[i] != SIGUSR1) // another one may be on its way
        sigaction(numbers[i], &before_[i], nullptr);
  }

private:
  static constexpr std::array numbers = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
  std::array<struct sigaction, numbers.size()> before_{};
};

Launcher launcher_of(const StudyRequest& request) {
  const std::string text = request.launcher.value_or("mpirun");
  const auto* const found = std::ranges::find(launcher_names, text);
  if (found == launcher_names.end())
    throw Error(ErrorKind::bad_input,
                unknown_name("launcher", text, {launcher_names.begin(), launcher_names.end()}),
                {"", 0, "--launcher"});
  return static_cast<Launcher>(found - launcher_names.begin());
}

// "90s", "30m", "2h", "45": seconds.
double budget_of(const StudyRequest& request) {
  if (!request.budget)
    return 0;
  const std::string& text = *request.budget;
  const std::string_view units = "smh";
  const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
  const bool bare = unit == std::string_view::npos;
  const char* const end = text.data() + text.size() - (bare ? 0 : 1);
  double value = 0;
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || std::isnan(value) || value <= 0 ||
      value > 1e9)
    throw Error(ErrorKind::bad_input,
                "must be a time such as 90s, 30m or 2h, not " + in_quotes(text),
                {"", 0, "--budget"});
  constexpr std::array factors = {1.0, 60.0, 3600.0};
  return value * (bare ? 1 : factors[unit]);
}

StudyOptions options_of(const StudyRequest& request, const StudyPlan& plan, Layout here) {
  StudyOptions options;
  options.directory =
      request.directory ? fs::path(*request.directory) : fs::path("results") / plan.record.title;
  options.launcher = launcher_of(request);
  options.here = std::move(here);
  options.program = this_program();
  options.as_root = geteuid() == 0;
  options.budget_s = budget_of(request);
  options.chosen = chosen_points(plan, request.only);
  return options;
}

// How to go on with it.
std::string resume_line(const Command& command, const StudyOptions& options) {
  const StudyRequest& request = command.study;
  std::vector<std::string> words = {command.request.argv.front(), "study",   request.file, "-o",
                                    options.directory.string(),   "--resume"};
  if (request.launcher)
    words.insert(words.end(), {"--launcher", *request.launcher});
  for (const std::string& only : request.only)
    words.insert(words.end(), {"--only", only});
  if (request.oversubscribe)
    words.emplace_back("--oversubscribe");
  return cleave::command::shell_line(words);
}

StudyOutcome measure(const StudyPlan& plan, const StudyOptions& options) {
  StudyProgress progress(plan);
  StudyObserver observer;
  observer.on_visit = [&](const StudyVisit& visit) { progress.show(visit); };
  observer.on_note = [&](const std::string& text) { progress.note(text); };
  observer.stop = [] { return asked_to_stop.load(); };
  StudyOutcome outcome = run_study(plan, options, observer);
  progress.clear();
  return outcome;
}

// Nothing where another study writes a file of this one: who ends last makes the table.
std::optional<Results> readable_results(const StudyOptions& options, const StudyOutcome& outcome) {
  try {
    return read_results(options.directory);
  } catch (const Error&) {
    if (outcome.end != StudyEnd::claimed_by_others)
      throw;
    return std::nullopt;
  }
}

// The table that report and compare start from, and the end of the study in words.
int conclude(const Command& command, const StudyPlan& plan, const StudyOptions& options,
             const StudyOutcome& outcome) {
  const auto count = [&](auto matches) {
    return std::ranges::count_if(options.chosen,
                                 [&](std::size_t i) { return matches(outcome.points[i]); });
  };
  const auto failed =
      count([](const PointStatus& point) { return point.standing == Standing::failed; });
  const auto open = count([](const PointStatus& point) { return point.stopped_by.empty(); });
  const std::string resume = resume_line(command, options);
  std::string text = study_summary_text(plan, options, outcome.points);
  if (outcome.end == StudyEnd::stopped) {
    say(text);
    throw Error(ErrorKind::interrupted,
                "interrupted; what was measured is kept; go on by: " + resume,
                {options.directory.string(), 0, ""});
  }
  if (std::ranges::any_of(outcome.points, [](const PointStatus& point) {
        return !point.measured.samples.empty();
      })) {
    if (const auto results = readable_results(options, outcome)) {
      renew_study(*results, tabulate(*results));
      text += fmt::format("{:<11}{}\n", "table", (options.directory / "study.h5").string());
    }
    text += fmt::format("{:<11}{}\n", "report",
                        cleave::command::shell_line(
                            {command.request.argv.front(), "report", options.directory.string()}));
  }
  if (outcome.end == StudyEnd::budget)
    text += fmt::format("{:<11}the budget of {} is spent, {} of {} points are open; go on by: {}\n",
                        "stopped", study_time_text(options.budget_s), open, options.chosen.size(),
                        resume);
  if (outcome.end == StudyEnd::claimed_by_others)
    text += fmt::format("{:<11}what is open is claimed by others; where none of them runs any more,"
                        " remove {} and go on by: {}\n",
                        "stopped", (options.directory / "points" / "*.claim").string(), resume);
  say(text);
  if (failed == 0)
    return 0;
  tell(Error(ErrorKind::failed_task,
             fmt::format("{} of {} points failed; their words are in *.log; when that is mended, "
                         "go on by: {}",
                         failed, options.chosen.size(), resume),
             {(options.directory / "points").string(), 0, ""}),
       false);
  return exit_status(ErrorKind::failed_task);
}

} // namespace

CLI::App* add_study(CLI::App& app, StudyRequest& request) {
  CLI::App* verb =
      app.add_subcommand("study", "Measure a job at many layouts, until intervals are narrow");
  const auto add_switch = [verb](const char* name, bool& value, const char* meaning) {
    verb->add_flag(name, value, meaning)->disable_flag_override();
  };
  verb->add_option("STUDY", request.file, "A study file, STUDY.toml")->type_name("")->required();
  verb->add_option("-o,--output", request.directory, "Folder of the study (results/STUDY)")
      ->type_name("DIR");
  verb->add_option("--launcher", request.launcher,
                   "mpirun; srun, within an allocation; or slurm: batch jobs (mpirun)")
      ->type_name("NAME");
  verb->add_option("--only", request.only,
                   "Points of this nodes, ranks, threads, schedule or parameter alone")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_option("--budget", request.budget, "Start no launch that would end later: 90s, 30m, 2h")
      ->type_name("TIME");
  add_switch("--dry-run", request.dry_run, "Show every point, its state and command; start none");
  add_switch("--resume", request.resume, "Go on with the study in that folder");
  add_switch("--oversubscribe", request.oversubscribe, "Allow more workers than cores, marked so");
  verb->footer(study_examples);
  return verb;
}

int carry_out_study(const Command& command, const std::vector<Workload>& workloads) {
  const StudyRequest& request = command.study;
  if (under_launcher())
    throw Error(ErrorKind::bad_input, "a study starts its launches itself; start it without mpirun "
                                      "or srun, in a batch job too");
  const StudyText text = read_study_text(request.file);
  Layout here = discover_here();
  const StudyMachine machine{here.usable_cores(0), launcher_of(request), request.oversubscribe};
  const StudyPlan plan = make_study_plan(text, machine, workloads);
  const StudyOptions options = options_of(request, plan, std::move(here));
  const bool begun = fs::exists(options.directory / "study.json");
  if (request.resume || (request.dry_run && begun))
    check_resumed_study(options.directory, plan, machine.launcher);
  if (request.dry_run && machine.launcher != Launcher::slurm) {
    say(study_dry_run_text(plan, options, study_status(options.directory, plan),
                           queued_jobs(options.directory)));
    return 0;
  }
  if (!request.dry_run && !request.resume)
    begin_study(options.directory, plan);
  if (machine.launcher == Launcher::slurm)
    return submit_study(plan, options, request.dry_run);
  const StopSignals signals;
  return conclude(command, plan, options, measure(plan, options));
}

} // namespace cleave::app
