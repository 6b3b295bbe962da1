/// @file
/// The layout of a launch as a plain value: nodes x ranks x threads and the cores each may use;
/// the doctor's findings about it; and the launcher line that gives a layout. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// One rank of a launch.
struct RankPlace {
  int node = 0;
  int threads = 1;        ///< workers of this rank
  std::vector<int> cpus;  ///< logical CPUs its affinity mask allows, ascending
  std::vector<int> cores; ///< physical cores behind them (node-wide numbers), ascending
  std::int64_t pid = 0;
};

/// One node of a launch.
struct NodePlace {
  std::string name;
  int cores = 1; ///< physical cores of the machine
  int cpus = 1;  ///< logical CPUs of the machine
  int sockets = 1;
  double quota_cpus = 0;       ///< CPUs that the cgroup allows; 0: no quota
  std::uint64_t shm_bytes = 0; ///< free space of /dev/shm
  std::string cpu_model;
};

/// What Slurm says of the job around a launch. 0: not told, or there is none.
struct SlurmFacts {
  std::int64_t job = 0;        ///< its number
  int nodes = 0;               ///< of the job
  int tasks = 0;               ///< of the job, or of the step of srun that the ranks are
  int cpus = 0;                ///< of the job, on all its nodes together
  int components = 0;          ///< of a heterogeneous job
  int components_cpus = 0;     ///< of all of those; `cpus` are those that the launcher has
  int tasks_around_mpirun = 0; ///< of the step of srun that mpirun itself is in
  std::int64_t memory_mib = 0; ///< that the job may use on the root's node
};

/// How the launch came about.
struct LaunchFacts {
  bool under_mpirun = false;
  bool under_slurm = false;
  int slurm_cpus_per_task = 0; ///< 0: not set
  int openmp_threads = 0;      ///< OMP_NUM_THREADS; 0: not set
  int openblas_threads = 0;    ///< OPENBLAS_NUM_THREADS; 0: not set
  SlurmFacts slurm{};
};

/// Who runs where. A value: made by discover(), readable everywhere.
class Layout {
public:
  Layout() = default;
  Layout(std::vector<NodePlace> nodes, std::vector<RankPlace> ranks, LaunchFacts facts);

  [[nodiscard]] const std::vector<NodePlace>& nodes() const noexcept { return nodes_; }
  [[nodiscard]] const std::vector<RankPlace>& ranks() const noexcept { return ranks_; }
  [[nodiscard]] const LaunchFacts& facts() const noexcept { return facts_; }

  /// Workers of all ranks together.
  [[nodiscard]] int workers() const noexcept;
  /// Workers of one node.
  [[nodiscard]] int workers_on(int node) const noexcept;
  /// Ranks of one node.
  [[nodiscard]] int ranks_on(int node) const noexcept;
  /// The most threads in a rank.
  [[nodiscard]] int threads() const noexcept;
  /// Physical cores in the union of the masks of one node's ranks. 0 when there are no ranks.
  [[nodiscard]] int allowed_cores(int node) const;
  /// allowed_cores() within the node's quota, at least 1: what its ranks may use together.
  [[nodiscard]] int usable_cores(int node) const;
  /// Whether some node has more workers than usable cores.
  [[nodiscard]] bool oversubscribed() const;
  /// Whether all nodes have the same number of ranks and all ranks of threads.
  [[nodiscard]] bool uniform() const;
  /// "multiprocessor", "multicore" or "hybrid".
  [[nodiscard]] std::string shape() const;
  /// "2 nodes x 4 ranks x 8 threads" or, for unequal ranks, the totals: "2 nodes, 7 ranks, 20
  /// threads".
  [[nodiscard]] std::string summary() const;

private:
  std::vector<NodePlace> nodes_;
  std::vector<RankPlace> ranks_;
  LaunchFacts facts_;
};

/// One thing the doctor found, and the command line that mends it.
struct Finding {
  enum class Severity : std::uint8_t { note, warning };
  Severity severity = Severity::warning;
  std::string what; ///< one sentence
  std::string mend; ///< a command line or setting; PROGRAM stands for the user's own
};

/// What is known beside a layout of the work that is to be done in it.
struct Circumstances {
  double memory_bytes = 0;                  ///< that the root will hold
  std::optional<std::int64_t> seconds_left; ///< until Slurm ends the job; nothing: not known
};

/// The doctor: what is odd about a layout, warnings first. Pure; local; thread-safe.
///
/// Warnings: more workers than cores; threads that share cores because the launcher bound their
/// rank; ranks that share cores; a quota that the workers exceed; foreign thread pools
/// (OMP_NUM_THREADS, OPENBLAS_NUM_THREADS) that together exceed the cores; unlike nodes. In a Slurm
/// job: ranks that got fewer CPUs than a task has; fewer workers than tasks; components that the
/// launcher does not use; mpirun within a step of srun; too little memory or time. Notes: ranks
/// that are not bound; cores that no rank may use; a quota below the cores; a small /dev/shm. What
/// cannot be seen from inside a job, N singletons, is Session's to refuse.
[[nodiscard]] std::vector<Finding> findings(const Layout& layout,
                                            const Circumstances& circumstances = {});

/// "0-3,8" for {0,1,2,3,8}. `cpus` ascending. Local, thread-safe.
[[nodiscard]] std::string cpu_list(const std::vector<int>& cpus);

/// {0,1,2,3,8} for "0-3,8"; nothing for "". Local, thread-safe.
/// @throws Error bad_input when `text` is anything else
[[nodiscard]] std::vector<int> parse_cpu_list(std::string_view text);

/// Threads of a rank for `--threads auto`: the physical cores in its mask divided by the ranks of
/// the node whose masks overlap it, within its share of the quota and SLURM_CPUS_PER_TASK; at
/// least 1. Pure; local; thread-safe; O(ranks of the node x cores).
/// @param ranks_of_node all ranks of one node @param rank index into them
[[nodiscard]] int auto_threads(const std::vector<RankPlace>& ranks_of_node, int rank,
                               const NodePlace& node, const LaunchFacts& facts);

/// The arguments of `mpirun` (program name first, the user's program left out) that start `ranks`
/// ranks of `threads` workers on this machine, each bound to cores of its own where there are
/// enough, else over-subscribed and unbound. Pure; local; thread-safe.
/// @param ranks >= 1 @param threads workers a rank; 0: the cores shared out evenly
/// @param cores physical cores that the job may use
/// @param bind false where the mask allows a part of the machine's cores only: Open MPI 4 does not
///        look at its own mask, so binding would put the ranks outside of it
[[nodiscard]] std::vector<std::string> mpirun_line(int ranks, int threads, int cores,
                                                   bool bind = true);

/// mpirun_line() for what `here` allows, such as discover_here(): its quota and its mask.
/// @pre here has a node
[[nodiscard]] std::vector<std::string> mpirun_line(int ranks, int threads, const Layout& here);

} // namespace cleave
