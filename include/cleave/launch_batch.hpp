/// @file
/// Batch jobs of Slurm: their scripts, pure functions, and handing one in. Makes no MPI call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cleave {

/// What a batch job asks Slurm for: the SBATCH lines of its script. What is empty or 0 is left to
/// the site's defaults.
struct BatchRequest {
  std::string name;
  int nodes = 1;
  int tasks_per_node = 1;
  int cpus_per_task = 0;
  bool exclusive = false;
  bool requeue = false;
  std::string time;   ///< such as "01:30:00"
  std::string memory; ///< of a node, such as "4G"
  std::string partition, account;
  std::string array;                ///< indices, such as "0-7%2"
  std::string output;               ///< file of what is printed, added to at every attempt
  std::string signal;               ///< such as "B:USR1@120"
  std::vector<std::string> options; ///< others of sbatch, such as "--constraint=zen4"
};

/// The beginning of a batch script: #!, `notes` as comments, what is asked for, and the way into
/// `folder`. Pure.
[[nodiscard]] std::string batch_head(const BatchRequest& request,
                                     const std::vector<std::string>& notes,
                                     const std::filesystem::path& folder);

/// How a run that is out of time goes on when its batch job is started again.
enum class BatchResume : std::uint8_t {
  none,
  checkpoint, ///< by `cleave run --checkpoint DIR --resume`
  job_log     ///< by the workload's own log: -p joblog=FILE -p resume=true
};

/// `cleave run` as a batch job.
struct BatchRun {
  BatchRequest request;              ///< requeue: the job starts again while it is out of time
  std::vector<std::string> notes;    ///< comments at the top
  std::filesystem::path folder;      ///< where it runs
  bool by_mpirun = false;            ///< else by srun
  bool as_root = false;              ///< Open MPI refuses root unless told twice
  std::string program;               ///< cleave, as the nodes can start it
  std::vector<std::string> jobs;     ///< what to run; several: one for each task of the array
  std::vector<std::string> settings; ///< arguments of `cleave run` behind the job
  BatchResume resume = BatchResume::none;
  std::string state; ///< with resume: NAME of NAME-jID.checkpoint or NAME-jID.joblog
};

/// The whole script: binds ranks explicitly, tells srun the CPUs of a task again (from Slurm 22.05
/// on it does not take them from the job), hands USR1 on to all ranks, ends with the launcher's own
/// status and, with `requeue`, starts the job again on status 75. Pure.
/// @pre request.cpus_per_task >= 1, which is the threads of a rank; jobs not empty
[[nodiscard]] std::string batch_script(const BatchRun& run);

/// Hands in a script by sbatch, to begin when the job `after` has ended. Local; starts a process.
/// @return the job's number
/// @throws Error bad_input where sbatch is missing, io where it refuses
[[nodiscard]] std::string submit_batch(const std::filesystem::path& script,
                                       const std::string& after = "");

/// The command line of submit_batch(). Pure.
[[nodiscard]] std::vector<std::string> sbatch_words(const std::filesystem::path& script,
                                                    const std::string& after = "");

/// What a command printed, standard error too, without the last ends of lines.
struct CommandAnswer {
  int status = 0; ///< 128 + N when signal N killed it
  std::string text;
};

/// Starts a command of Slurm, such as squeue, and waits for its end. Local. Its words pass through
/// a file in the folder for temporary ones.
/// @throws Error bad_input when it cannot be started, io when the file cannot be written
[[nodiscard]] CommandAnswer ask_command(const std::vector<std::string>& words);

} // namespace cleave
