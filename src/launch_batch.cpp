#include "cleave/launch_batch.hpp"

#include "cleave/error.hpp"
#include "cleave/launch.hpp"
#include "command/shell_words.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using command::shell_line;
using command::shell_quoted;

// A job that comes no further must not run for ever.
constexpr int most_attempts = 100;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// A file of our own, for as long as this lives.
class TemporaryFile {
public:
  TemporaryFile() : path_((fs::temp_directory_path() / "cleave-heard.XXXXXX").string()) {
    const int descriptor = mkstemp(path_.data());
    if (descriptor < 0)
      throw Error(ErrorKind::io, "cannot be written: no file can be made there",
                  {fs::temp_directory_path().string(), 0, ""});
    close(descriptor);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  TemporaryFile(TemporaryFile&&) = delete;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() { unlink(path_.c_str()); }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
  std::string path_;
};

// squeue's and scontrol's name of this job: the number of one task may be that of its whole array.
std::string job_id(const BatchRun& run) {
  return run.jobs.size() > 1 ? "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" : "$SLURM_JOB_ID";
}

// Where the attempts of this job find what earlier ones have kept.
std::string state_lines(const BatchRun& run) {
  if (run.resume == BatchResume::none)
    return "";
  const bool checkpoint = run.resume == BatchResume::checkpoint;
  const std::string file =
      shell_quoted(run.state) + "-j" + job_id(run) + (checkpoint ? ".checkpoint" : ".joblog");
  std::string text = run.jobs.size() > 1 // whose tasks must not meet
                         ? "state=" + file + "\n"
                         : "# To go on with that of another job: CLEAVE_STATE=FILE sbatch SCRIPT\n"
                           "state=${CLEAVE_STATE:-" +
                               file + "}\n";
  return text + "mkdir -p \"$(dirname \"$state\")\"\n\n";
}

std::string job_lines(const BatchRun& run) {
  if (run.jobs.size() == 1)
    return "";
  return "jobs=(" + shell_line(run.jobs) + ")\njob=${jobs[SLURM_ARRAY_TASK_ID]}\n\n";
}

std::vector<std::string> launcher_words(const BatchRun& run) {
  const BatchRequest& request = run.request;
  const std::string nodes = std::to_string(request.nodes);
  const std::string per_node = std::to_string(request.tasks_per_node);
  const std::string ranks = std::to_string(request.nodes * request.tasks_per_node);
  const std::string threads = std::to_string(request.cpus_per_task);
  if (run.by_mpirun)
    return {"mpirun",    "-q",  "-n", ranks, "--map-by", "ppr:" + per_node + ":node:PE=" + threads,
            "--bind-to", "core"};
  return {
      "srun",  "--mpi=pmix",      "-N", nodes, "-n", ranks, "--ntasks-per-node=" + per_node, "-c",
      threads, "--cpu-bind=cores"};
}

std::string command_line(const BatchRun& run) {
  std::string text = shell_line(launcher_words(run)) + " \\\n      ";
  text += shell_line({run.program, "run"}) + " ";
  text += run.jobs.size() > 1 ? "\"$job\"" : shell_quoted(run.jobs.front());
  text += " " + shell_line({"--threads", std::to_string(run.request.cpus_per_task)});
  if (!run.settings.empty())
    text += " " + shell_line(run.settings);
  if (run.resume == BatchResume::checkpoint)
    text += " \\\n      --checkpoint \"$state\" --resume";
  if (run.resume == BatchResume::job_log)
    text += " \\\n      -p joblog=\"$state\" -p resume=true";
  return text;
}

std::string requeue_lines(const BatchRun& run) {
  if (!run.request.requeue)
    return "";
  return "# 75: out of time, and what is done is kept. Slurm starts this script again.\n"
         "# TERM out of the blue is scancel: such a job must not come back.\n"
         "if [[ ${asked-} || ! ${ended-} ]] && ((status == 75 && ${SLURM_RESTART_COUNT:-0} < " +
         std::to_string(most_attempts - 1) + ")); then\n  scontrol requeue \"" + job_id(run) +
         "\" || true\nfi\n";
}

constexpr const char* step_lines =
    R"(# A node that was cut off may run an earlier attempt yet. When it comes back, Slurm ends the step of
# that number: it must not be this attempt's.
for ((step = 0; step < ${SLURM_RESTART_COUNT:-0}; step++)); do
  srun --mpi=none -N 1 -n 1 true || true
done

)";

constexpr const char* trap_lines =
    R"(# Slurm signals this shell alone; the launcher hands it on to all ranks, which save what they have.
# TERM, at the very end or by scancel, comes to everyone: this shell only stays until they have ended.
waiting=
said=
hand_on() {
  local launcher
  while [[ $waiting ]] && kill -0 "$waiting" 2>/dev/null; do
    if read -r launcher 2>/dev/null <"$said/launcher"; then
      kill -USR1 "$launcher" 2>/dev/null || true
      return 0
    fi
    sleep 0.1 || true
  done
}
trap 'asked=yes; hand_on' USR1
trap 'ended=yes' TERM

)";

constexpr const char* begin_lines =
    R"(# A shell of its own waits for the launcher: wait in one that gets signals may lose the status.
said=$(mktemp -d)
(
  trap : USR1 TERM
  status=0
  (
    [[ ! ${asked-}${ended-} ]] || exit 75 # no time is left
    echo "$BASHPID" >"$said/launcher"
    exec )";

constexpr const char* wait_lines = R"(
  ) || status=$?
  echo "$status" >"$said/status"
  exit "$status"
) &
waiting=$!
while kill -0 "$waiting" 2>/dev/null; do
  if [[ ${asked-} ]]; then # again and again: a launcher without ranks has nobody to tell
    hand_on
    sleep 1 || true
  else
    wait "$waiting" || true
  fi
done
wait "$waiting" && status=0 || status=$?
if read -r told 2>/dev/null <"$said/status"; then # else the disk was full
  status=$told
fi
rm -rf "$said"
if [[ ${asked-} ]] && ((status == 128 + $(kill -l USR1))); then
  status=75 # asked before it listened
fi

)";

} // namespace

std::string batch_head(const BatchRequest& request, const std::vector<std::string>& notes,
                       const fs::path& folder) {
  std::string text = "#!/usr/bin/env bash\n";
  for (const std::string& note : notes)
    text += "# " + note + "\n";
  const auto ask = [&text](const std::string& option, const std::string& value) {
    if (!value.empty() && value != "0")
      text += "#SBATCH " + option + shell_quoted(value) + "\n";
  };
  ask("--job-name=", request.name);
  ask("--nodes=", std::to_string(request.nodes));
  ask("--ntasks-per-node=", std::to_string(request.tasks_per_node));
  ask("--cpus-per-task=", std::to_string(request.cpus_per_task));
  ask("--time=", request.time);
  ask("--mem=", request.memory);
  ask("--partition=", request.partition);
  ask("--account=", request.account);
  ask("--array=", request.array);
  ask("--output=", request.output);
  ask("", "--open-mode=append");
  ask("--signal=", request.signal);
  ask("", request.exclusive ? "--exclusive" : "");
  ask("", request.requeue ? "--requeue" : "");
  for (const std::string& option : request.options)
    text += "#SBATCH " + option + "\n";
  return text + "set -euo pipefail\ncd " + shell_quoted(folder.string()) + "\n";
}

std::string batch_script(const BatchRun& run) {
  std::string text = batch_head(run.request, run.notes, run.folder) + "\n";
  text += trap_lines;
  if (run.as_root)
    text += "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1\n\n";
  if (!run.by_mpirun) // whose other way, a tree, now and then loses a rank in MPI_Init
    text += "export SLURM_PMIX_FENCE=ring # else a rank may die in MPI_Init: docs/clusters.md\n\n";
  if (run.request.requeue) // mpirun too has a step on each further node
    text += step_lines;
  text += job_lines(run) + state_lines(run) + begin_lines + command_line(run) + wait_lines;
  text += requeue_lines(run);
  return text + "exit \"$status\"\n";
}

std::vector<std::string> sbatch_words(const fs::path& script, const std::string& after) {
  std::vector<std::string> words = {"sbatch", "--parsable"};
  if (!after.empty())
    words.push_back("--dependency=afterany:" + after);
  words.push_back(script.string());
  return words;
}

std::string submit_batch(const fs::path& script, const std::string& after) {
  const CommandAnswer answer = ask_command(sbatch_words(script, after));
  const std::string id = answer.text.substr(answer.text.rfind('\n') + 1);
  if (answer.status != 0 || id.empty() ||
      id.find_first_not_of("0123456789") != std::min(id.find(';'), std::string::npos))
    throw Error(ErrorKind::io, "sbatch refuses it: " + answer.text, {script.string(), 0, ""});
  return id.substr(0, id.find(';')); // of "123;cluster", which --parsable may print
}

CommandAnswer ask_command(const std::vector<std::string>& words) {
  const TemporaryFile heard;
  Launch launch({words, {}}, heard.path());
  std::optional<int> status;
  while (!(status = launch.wait(1s))) {
  }
  CommandAnswer answer{*status, text_of(heard.path())};
  while (answer.text.ends_with('\n'))
    answer.text.pop_back();
  return answer;
}

} // namespace cleave
