// The program, top to bottom: argv -> Command -> one call -> text or JSON -> exit status.
#include "cleave/main.hpp"

#include "../words.hpp"
#include "attach.hpp"
#include "cleave/discover.hpp"
#include "cleave/launch.hpp"
#include "cleave/pool.hpp"
#include "cleave/run.hpp"
#include "cleave/session.hpp"
#include "cleave/slurm.hpp"
#include "command.hpp"
#include "ending.hpp"
#include "interruption.hpp"
#include "job_end.hpp"
#include "json.hpp"
#include "lines.hpp"
#include "output.hpp"
#include "text.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace cleave {
namespace app {
namespace {

// Log lines with their rank, on standard error.
class Log {
public:
  Log(const std::string& level, int rank)
      : logger_("cleave", std::make_shared<spdlog::sinks::stderr_sink_st>()) {
    logger_.set_pattern("[%H:%M:%S.%e] [rank " + std::to_string(rank) + "] [%l] %v");
    logger_.set_level(spdlog::level::from_str(level));
  }
  spdlog::logger* operator->() { return &logger_; }

private:
  spdlog::logger logger_;
};

CommOptions comm_options(const Command& command, Log& log) {
  CommOptions options;
  options.patience_s = requested_patience(command.request);
  options.on_absent = [&log](const std::string& who) { log->warn("{}", who); };
  return options;
}

int run_job(const Comm& comm, const Command& command, const std::vector<Workload>& workloads,
            Log& log, Interruption& interruption) {
  const Plan plan = agree_on_plan(comm, command.request, workloads);
  log->debug("plan agreed: {}, schedule {}", plan.workload, plan.schedule.text());
  const bool text = !command.json && !command.quiet;
  ProgressLine progress;
  Observer observer;
  observer.on_start = [&](const RunStart& start) {
    if (text)
      say(start_text(start, command.verbose));
  };
  observer.on_progress = [&](const Progress& p) {
    if (text)
      progress.show(p);
  };
  observer.on_repetition = [&](const Repetition& repetition, int index, bool warm_up) {
    log->info("{} {}: {} s", warm_up ? "warm-up" : "repetition", index + 1, repetition.wall_s);
    progress.clear();
    if (text && command.verbose) // what gets lost is told at the end: the work must go on
      static_cast<void>(print(repetition_text(repetition, index, warm_up)));
  };
  std::optional<Error> lost;
  observer.on_output = [&](std::string_view text, bool error) {
    progress.clear();
    if (std::optional<Error> now = print_output(text, error || command.json))
      lost = std::move(now); // told at the end: the work must go on
  };
  observer.on_kept = [&](const Kept& kept) { interruption.keep(kept); };
  observer.on_note = [&](const std::string& note) { log->info("{}", note); };
  observer.on_warning = [](const Error& warning) {
    mutter(std::string("cleave: warning: ") + warning.what() + "\n");
  };
  observer.stop = Interruption::requested;
  const JobEnd job_end(comm.is_root());
  observer.seconds_left = [&] { return job_end.seconds_left(); };
  observer.on_stuck = [&](const Error& error) {
    interruption.disarm();
    comm.leave(error.what()); // so that root leaves the telling to this rank
    tell(error, command.json);
  };
  const RunReport report = run(comm, plan, workloads, observer);
  interruption.disarm();
  if (!comm.is_root())
    return report.status;
  progress.clear();
  if (command.json)
    lost = print(report_json(report));
  else if (text)
    lost =
        print(report.dry_run ? dry_run_text(report.start) : report_text(report, command.verbose));
  for (const Error& error : report.errors)
    tell(error, false); // the JSON object has the first of them already
  if (lost)
    throw Error(*lost);
  return report.status;
}

// Until Slurm ends the job around us.
std::optional<std::int64_t> seconds_left() {
  const std::optional<std::int64_t> end_s = slurm_job_end(std::chrono::seconds(2));
  if (!end_s)
    return std::nullopt;
  return *end_s - std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
}

int show_layout(const Comm& comm, const Command& command) {
  PoolOptions options;
  options.threads = requested_threads(command.request);
  options.comm = comm.options();
  const Pool pool(comm, options);
  const std::string path = command.verbose || command.json ? pool.data_path() : "";
  if (comm.is_root()) {
    const Circumstances circumstances{0, seconds_left()};
    say(command.json ? layout_json(pool.layout(), path, circumstances)
                     : layout_text(pool.layout(), path, circumstances));
  }
  return 0;
}

// What this rank does once MPI is there; every failure ends all ranks together.
int work(const Session& session, const Command& command, const std::vector<Workload>& workloads) {
  Log log(command.log_level, launched_rank());
  std::optional<Comm> comm; // outlives the failure, whose ranks may still be waiting in it
  Interruption interruption(launched_rank() == 0,
                            [&](const Error& error) { tell(error, command.json); });
  take_lost_output_for_errors();
  Ending ending;
  try {
    comm.emplace(session, comm_options(command, log));
    interruption.watch(*comm);
    if (command.attach)
      wait_for_debugger(*comm, *command.attach);
    ending.status = command.verb == Verb::layout
                        ? show_layout(*comm, command)
                        : run_job(*comm, command, workloads, log, interruption);
  } catch (...) {
    ending.error = current_error();
    ending.status = exit_status(ending.error->kind());
    interruption.blame(*ending.error);
    if (comm)
      comm->leave(ending.error->what());
  }
  return end_together(ending, [&](const Error& error, int rank) {
    interruption.disarm();
    tell(error, command.json, rank);
  });
}

// With -n and no launcher around: refuse what is wrong at once, then become mpirun.
void launch_if_asked(const Command& command, const std::vector<Workload>& workloads) {
  const std::optional<int> ranks = requested_ranks(command.request);
  if (!ranks || under_launcher() || singletons_suspected())
    return;
  if (command.verb == Verb::run)
    (void)make_plan(command.request, read_job_file(command.request), workloads);
  const std::vector<std::string>& argv = command.request.argv;
  const Layout here = discover_here();
  const int most = 32 * here.usable_cores(0); // far more would only choke this machine
  if (*ranks > most)
    throw Error(ErrorKind::bad_input,
                "at most " + std::to_string(most) + " ranks are started here, 32 for each of its " +
                    "cores; use mpirun yourself for more",
                {"", 0, "-n"});
  become(launch_line(*ranks, requested_threads(command.request), here, this_program(),
                     {argv.begin() + 1, argv.end()}, geteuid() == 0));
}

// Before MPI begins: what the workload that is asked for, or may be, must do by then.
void get_ready(const Command& command, const std::vector<Workload>& workloads) {
  if (command.verb != Verb::run)
    return;
  const std::optional<std::string> asked = requested_workload(command.request, workloads);
  for (const Workload& workload : workloads)
    if (workload.before_mpi && (!asked || *asked == workload.name))
      workload.before_mpi();
}

std::string list(const Command& command, const std::vector<Workload>& workloads) {
  return command.workload ? workload_text(find_workload(workloads, *command.workload))
                          : list_text(workloads);
}

// Ends before ranks can talk: rank 0 tells. mpirun kills all at the first status that is not 0, so
// the silent ranks leave rank 0 time to speak.
int end_before_mpi(int status, const std::function<void()>& tell_user) {
  if (launched_rank() == 0)
    tell_user();
  else if (status != 0)
    std::this_thread::sleep_for(std::chrono::seconds(2));
  return status;
}

// Text and no work: rank 0 prints it.
int say_alone(const std::string& text) {
  try {
    if (launched_rank() == 0)
      say(text);
    return 0;
  } catch (const Error& error) {
    tell(error, false);
    return exit_status(error.kind());
  }
}

int bid_farewell(const Farewell& farewell) {
  if (farewell.status == 0)
    return say_alone(farewell.text);
  const Error error(ErrorKind::bad_input, farewell.text);
  return end_before_mpi(farewell.status, [&] { tell(error, farewell.json); });
}

using Action = int (*)(const Command&, const std::vector<Workload>&);
// What one process does by itself: under a launcher, rank 0.
Action verb_without_mpi(Verb verb) {
  switch (verb) {
  case Verb::study:
    return carry_out_study;
  case Verb::report:
    return carry_out_report;
  case Verb::compare:
    return carry_out_compare;
  case Verb::predict:
    return carry_out_predict;
  case Verb::slurm:
    return carry_out_slurm;
  default:
    return nullptr;
  }
}

int carry_out(int argc, char** argv, const Command& command,
              const std::vector<Workload>& workloads) {
  std::optional<Session> session;
  try {
    if (command.verb == Verb::list)
      return say_alone(list(command, workloads));
    if (const auto alone = verb_without_mpi(command.verb))
      return launched_rank() == 0 ? alone(command, workloads) : 0;
    if (!command.quiet)
      require_output();
    launch_if_asked(command, workloads);
    Interruption::expect();
    get_ready(command, workloads);
    session.emplace(argc, argv);
  } catch (...) { // no rank can ask another yet
    const Error error = current_error();
    return end_before_mpi(exit_status(error.kind()), [&] { tell(error, command.json); });
  }
  return work(*session, command, workloads);
}

} // namespace
} // namespace app

int main(int argc, char** argv, const std::vector<Workload>& workloads) {
  app::hold_standard_streams();
  app::tell_before_terminating();
  const auto parsed = app::parse_command(argc, argv);
  if (const auto* command = std::get_if<app::Command>(&parsed))
    return app::carry_out(argc, argv, *command, workloads);
  return app::bid_farewell(std::get<app::Farewell>(parsed));
}

} // namespace cleave
