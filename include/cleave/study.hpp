/// @file
/// Studies: a STUDY.toml -> a plan of points, each measured by fresh launches in shuffled rounds
/// until its interval is narrow, and gone on with where it was interrupted. Nothing here prints.
#pragma once

#include "cleave/launch.hpp"
#include "cleave/layout.hpp"
#include "cleave/results.hpp"
#include "cleave/run.hpp"
#include "cleave/workload.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What starts the ranks of a point. `slurm`: batch jobs that use srun.
enum class Launcher : std::uint8_t { mpirun, srun, slurm };
inline constexpr std::array<const char*, 3> launcher_names = {"mpirun", "srun", "slurm"};

/// A study file as it was read, and the job file that it names.
struct StudyText {
  JobText study;
  std::string job;  ///< a workload's name, or a job file as seen from here
  JobText job_file; ///< empty: a workload's name
};

/// [slurm]: what batch jobs ask for.
struct SlurmSettings {
  std::string partition, account, time; ///< empty: the cluster's own choice
  int cores_per_node = 0;               ///< 0: not told
  std::vector<std::string> lines;       ///< further options, such as "--constraint=zen4"
};

/// What a plan has to know of the machine.
struct StudyMachine {
  int cores = 1; ///< of a node, that ranks may use together
  Launcher launcher = Launcher::mpirun;
  bool oversubscribe = false; ///< whether points of more workers than cores are wanted
};

/// One point to measure.
struct PlannedPoint {
  PointKey key;
  std::string stem;                              ///< of its files' names; no other point has it
  std::map<std::string, std::string> parameters; ///< all of the workload's
  std::vector<std::string> overrides;            ///< KEY=VALUE, those that are not the job's own
  bool oversubscribed = false;                   ///< more workers than cores
};

/// A study, validated whole.
struct StudyPlan {
  StudyText text;
  StudyRecord record;
  std::vector<PlannedPoint> points; ///< no two of one key
  SlurmSettings slurm;
};

/// Reads the study file, and the job file that it names. Local.
/// @throws Error bad_input when one cannot be read, or the study file names none
[[nodiscard]] StudyText read_study_text(const std::string& file);

/// Every point of the study. Pure. Local, thread-safe.
/// @throws Error bad_input that names file, line and key, and what would be right
[[nodiscard]] StudyPlan make_study_plan(const StudyText& text, const StudyMachine& machine,
                                        const std::vector<Workload>& workloads);

/// Indices of the points that KEY=VALUE texts leave: those of one key are alternatives, all keys
/// must hold. Keys: nodes, ranks, threads, schedule, and the workload's parameters. Pure.
/// @throws Error bad_input for an unknown key, and where no point is left
[[nodiscard]] std::vector<std::size_t> chosen_points(const StudyPlan& plan,
                                                     std::span<const std::string> only);

/// How a study is run.
struct StudyOptions {
  std::filesystem::path directory;
  Launcher launcher = Launcher::mpirun; ///< not slurm
  Layout here;                          ///< this machine, for mpirun
  std::string program;                  ///< that every point runs
  bool as_root = false;
  double budget_s = 0;             ///< no launch that would end later is started; 0: no limit
  std::vector<std::size_t> chosen; ///< points to measure
};

/// Where a point stands.
enum class Standing : std::uint8_t { missing, partly, running, failed, done };

/// A point and what was measured of it so far.
struct PointStatus {
  Standing standing = Standing::missing;
  Point measured;
  std::string stopped_by; ///< stopped_by(); of `done`
  int visits = 0;         ///< number of the last launch
  std::string why;        ///< of `failed` the last words of the launch, of `running` who runs it
};

/// The folder of a study: refuses one that has a study already.
/// @throws Error bad_input; io when it cannot be written
void begin_study(const std::filesystem::path& directory, const StudyPlan& plan);

/// Checks that the folder has this very study. @throws Error bad_input that names what differs;
///         not_comparable when this program or machine is not the one that it was begun with
void check_resumed_study(const std::filesystem::path& directory, const StudyPlan& plan,
                         Launcher launcher);

/// Where all points stand. Local; reads every timings file of the study.
/// @throws Error bad_input for a damaged one
[[nodiscard]] std::vector<PointStatus> study_status(const std::filesystem::path& directory,
                                                    const StudyPlan& plan);

/// What the next visit to a point starts. Pure but for the program's environment.
[[nodiscard]] CommandLine next_launch(const StudyPlan& plan, const StudyOptions& options,
                                      std::size_t point, const PointStatus& status);

/// A visit that has ended.
struct StudyVisit {
  std::size_t point = 0;
  const PointStatus* status = nullptr;
  int round = 1;
  std::size_t done = 0;   ///< points that need no more visits
  std::size_t wanted = 0; ///< points chosen
  double left_s = 0;      ///< at most, as visits took so far; NaN while that cannot be told
  bool begins = false;    ///< it has not ended: it begins
};

/// Who is told; all may be empty.
struct StudyObserver {
  std::function<void(const StudyVisit&)> on_visit;
  std::function<void(const std::string&)> on_note;
  std::function<bool()> stop; ///< asked often: true ends the launch under way, and the study
};

/// Why a study ended.
enum class StudyEnd : std::uint8_t { complete, budget, stopped, claimed_by_others };

/// What a study came to.
struct StudyOutcome {
  StudyEnd end = StudyEnd::complete;
  std::vector<PointStatus> points; ///< by point of the plan
};

/// Measures the chosen points in rounds. In each, every point that is not finished is visited once,
/// in a freshly shuffled order: one launch of a fifth of the repetitions. A point that another
/// study has claimed is left to it; one whose launch fails is not visited again, but for a launch
/// by srun that was killed in a later attempt of a Slurm job, perhaps in the place of an earlier
/// one's.
/// @pre begin_study() or check_resumed_study() @throws Error io
[[nodiscard]] StudyOutcome run_study(const StudyPlan& plan, const StudyOptions& options,
                                     const StudyObserver& observer);

/// A batch job of the study.
struct BatchScript {
  int nodes = 1;
  std::filesystem::path file;
  std::string text;
};

/// One batch script a number of nodes, which runs the study's points of that number by srun. Pure.
[[nodiscard]] std::vector<BatchScript> batch_scripts(const StudyPlan& plan,
                                                     const StudyOptions& options);

} // namespace cleave
