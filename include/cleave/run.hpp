/// @file
/// A run: a workload or a job file and its options -> one verified, recorded run. Nothing here
/// prints: an Observer value is told what happens.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/error.hpp"
#include "cleave/layout.hpp"
#include "cleave/schedule.hpp"
#include "cleave/statistics.hpp"
#include "cleave/timings.hpp"
#include "cleave/workload.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cleave {

/// What the user typed, as texts that nobody has interpreted yet. What is not given comes from the
/// job file, else from the defaults.
struct Request {
  using Text = std::optional<std::string>;
  std::string job;                     ///< a workload's name, or a job file: NAME.toml or a path
  std::vector<std::string> parameters; ///< key=value
  Text ranks, schedule, threads, warm_ups, repetitions, budget_s, timings, result, seed, patience_s,
      task_timeout_s, simd, checkpoint, mtbf_s;
  bool force = false;
  bool trace = false;
  bool dry_run = false;
  bool no_checkpoint = false;
  bool resume = false;
  bool accept_new_binary = false;
  std::vector<std::string> argv; ///< the whole command line: recorded, and the same on all ranks
};

/// A job file as it was read; both empty: none.
struct JobText {
  std::string file; ///< as the user wrote it
  std::string text;
};

/// One run, validated whole: what run() does, and nothing else decides.
struct Plan {
  std::string workload;
  std::map<std::string, Values::Given> parameters;
  Schedule schedule;
  int threads = 0;               ///< workers a rank; 0: auto_threads()
  int warm_ups = 0;              ///< repetitions that are recorded apart
  int repetitions = 1;           ///< the most measured repetitions
  double budget_s = 0;           ///< no repetition starts later than this; 0: no limit
  std::filesystem::path timings; ///< NAME.h5 or .hdf5; empty: results/WORKLOAD-UTC-NxRxT.h5
  std::filesystem::path result;  ///< the answer, as HDF5, JSON or CSV; empty: none
  bool trace = false;            ///< write NAME.trace.h5 beside NAME.h5
  bool force = false;            ///< replace existing files
  bool dry_run = false;          ///< prepare, say what would be done, write nothing
  std::uint64_t seed = 0;
  double patience_s = 60;
  double task_timeout_s = 0; ///< the longest that a task may take; 0: no limit
  /// The checkpoint's folder. Empty: NAME.checkpoint beside NAME.h5, and where nothing is resumed,
  /// only when the run is going to take long.
  std::filesystem::path checkpoint;
  bool checkpoints = true;        ///< false: never
  bool resume = false;            ///< go on with the checkpoint; where there is none, begin
  bool accept_new_binary = false; ///< even if another binary has made it
  double mtbf_s = 86'400;         ///< mean time between failures
  std::string simd;               ///< instruction set that kernels must use; empty: the best
  JobText job_file;               ///< recorded, and never overwritten
  std::vector<std::string> argv;  ///< command line, for the record
};

/// Reads the job file that the request names; nothing when it names a workload. Local.
/// @throws Error bad_input when it cannot be read, or is no regular file
[[nodiscard]] std::optional<JobText> read_job_file(const Request& request);

/// Puts job file and command line together (the command line wins) and validates all of it, the
/// workload's parameters too. A pure function: every rank comes to the same plan. Local,
/// thread-safe.
/// @throws Error bad_input that names file, line and key, and what would be right
[[nodiscard]] Plan make_plan(const Request& request, const std::optional<JobText>& job,
                             const std::vector<Workload>& workloads);

/// The same on all ranks of a job: root reads the file, and all agree that they were asked the
/// same. Collective. @throws Error bad_input, on every rank alike
[[nodiscard]] Plan agree_on_plan(const Comm& comm, const Request& request,
                                 const std::vector<Workload>& workloads);

/// The workload that is asked for, as far as this process can tell by itself: nothing where it is
/// named by a job file that cannot be read here. Local.
[[nodiscard]] std::optional<std::string> requested_workload(const Request& request,
                                                            const std::vector<Workload>& workloads);

/// Ranks that `-n` asks for; nothing when it was not given. Local. @throws Error bad_input
[[nodiscard]] std::optional<int> requested_ranks(const Request& request);

/// Workers a rank that `--threads` asks for; 0: auto. Local. @throws Error bad_input
[[nodiscard]] int requested_threads(const Request& request);

/// Seconds after which an absent rank is named. Local. @throws Error bad_input
[[nodiscard]] double requested_patience(const Request& request);

/// The longest that a task may take, in seconds; 0: no limit. Local. @throws Error bad_input
[[nodiscard]] double requested_task_timeout(const Request& request);

/// The workload of this name. Local, thread-safe.
/// @throws Error bad_input that lists the workloads, at `place`
[[nodiscard]] const Workload& find_workload(const std::vector<Workload>& workloads,
                                            const std::string& name, const ErrorPlace& place = {});

/// How far a run has come.
struct Progress {
  int repetition = 0;  ///< that is under way, from 0, warm-ups first
  int repetitions = 1; ///< warm-ups and the most measured ones
  bool warm_up = false;
  double fraction = 0; ///< done of this repetition, or of its step
  bool of_step =
      false; ///< a repetition is several steps (calls of the Pool), nobody knows how many
  double elapsed_s = 0;
  double left_s = not_measured; ///< estimate; NaN when there is none yet
  std::string standing;         ///< Job::standing()
};

/// What is known of a run before its first repetition.
struct RunStart {
  Layout layout;
  std::string workload;
  Summary parameters;
  std::string schedule;
  std::int64_t tasks = 0;
  std::int64_t leaves = 0;
  double memory_bytes = 0;                  ///< that the root will hold at most
  std::string data_path;                    ///< how inputs and results travel
  std::vector<std::filesystem::path> files; ///< that will be written
  std::vector<std::string> preview;         ///< the first tasks in words, of a dry run
};

/// What a run leaves behind when it ends before its time.
struct Kept {
  std::filesystem::path timings;  ///< empty: none
  std::filesystem::path progress; ///< no use any more
  int repetitions = 0;            ///< measured ones in the timings file
  std::string resume;             ///< how to go on; empty: not at all
  /// Hands over to the kernel what is still in memory; on every rank, thread-safe. Empty: nothing.
  /// @return whether it is kept there
  std::function<bool()> save{};

  /// Saves it and tells it: an Error of kind interrupted. Local, thread-safe.
  [[nodiscard]] Error interruption() const;
};

/// Who is told what happens, on root alone but for on_stuck, on_kept and stop, between and within
/// repetitions. All may be empty. What on_start throws ends the run before any work, on every rank;
/// the others must not throw.
struct Observer {
  std::function<void(const RunStart&)> on_start;
  std::function<void(const Progress&)> on_progress; ///< may come often
  std::function<void(const Repetition&, int index, bool warm_up)> on_repetition;
  std::function<void(const Kept&)> on_kept; ///< the timings file was made, or has grown
  std::function<void(const std::string&)> on_note;
  /// What is lost does not end the run; on the leader of each node, by any thread.
  std::function<void(const Error&)> on_warning;
  Job::OutputTold on_output;
  /// See PoolOptions::on_stuck: on any rank.
  std::function<void(const Error&)> on_stuck;
  /// Asked between repetitions and between the tasks of one, on every rank, by any thread: true
  /// ends the run on every rank.
  std::function<bool()> stop;
  /// Asked at root likewise: seconds until this process will be ended from outside. The run ends
  /// itself when they are just enough for the tasks under way.
  std::function<double()> seconds_left;
};

/// What a run found. Whole on root; elsewhere only `status`.
struct RunReport {
  RunStart start;
  Timings timings;
  bool dry_run = false;
  double median_s = not_measured;     ///< of the verified repetitions' walls
  std::optional<Interval> interval_s; ///< 95 %; nothing when they are too few
  std::optional<double> rate;         ///< nothing unless the answer was verified
  std::string rate_unit;
  /// Median over repetitions of max/mean - 1 of the ranks' busy time.
  double imbalance_percent = not_measured;
  double chunks = not_measured; ///< of a repetition, all workers together; the median
  double task_s = not_measured; ///< that a task keeps its worker, in the mean; the median
  Verdict verdict;
  std::uint64_t checksum = 0;
  Summary result;
  std::vector<std::string> details;
  std::string stopped_by;                   ///< "repetitions", "budget" or "wrong answer"
  std::filesystem::path timings_file;       ///< empty when nothing was written
  std::vector<std::filesystem::path> files; ///< all that was written
  std::vector<Error> errors; ///< what went wrong after the work: a wrong answer, a file
  int status = 0;            ///< exit status; the same on every rank

  [[nodiscard]] bool verified() const noexcept { return verdict.verify == Verify::ok; }
  /// Whether a part of a repetition was computed by an earlier launch.
  [[nodiscard]] bool resumed() const noexcept;
};

/// Does the run: refuses everything bad before any work, repeats, checks every answer, commits
/// every repetition, writes the answer. Collective.
/// @throws Error bad_input before work, failed_task, lost_peer; interrupted at root when its
///         observer stops the run. A wrong answer and a file that cannot be written after the work
///         are reported, not thrown: the result is not lost
RunReport run(const Comm& comm, const Plan& plan, const std::vector<Workload>& workloads,
              const Observer& observer = {});

} // namespace cleave
