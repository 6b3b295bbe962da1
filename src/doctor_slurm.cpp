// The doctor's findings about a Slurm job, one small function a symptom.
#include "doctor.hpp"

#include <algorithm>
#include <cmath>

namespace cleave::doctor {
namespace {

using Severity = Finding::Severity;

constexpr std::int64_t short_s = 120; // hardly more than the notice that batch scripts ask for

bool by_srun(const Layout& layout) {
  return layout.facts().under_slurm && !layout.facts().under_mpirun;
}

/// CPUs that Slurm counts for one core.
int cpus_of_core(const Layout& layout) {
  const NodePlace& node = layout.nodes().front();
  return std::max(1, node.cpus / std::max(node.cores, 1));
}

/// Ranks that were given fewer CPUs than a task has.
void find_lost_cpus(const Layout& layout, std::vector<Finding>& found) {
  const int given = layout.facts().slurm_cpus_per_task;
  const auto short_of = [given](const RankPlace& rank) { return std::ssize(rank.cpus) < given; };
  if (std::ranges::none_of(layout.ranks(), short_of))
    return;
  const std::string gives =
      "Slurm gives a task " + counted(given, "CPU") + " (SLURM_CPUS_PER_TASK), but ";
  if (layout.facts().under_mpirun)
    found.push_back({Severity::warning, gives + "mpirun bound ranks to fewer",
                     "mpirun -q --map-by slot:PE=$SLURM_CPUS_PER_TASK --bind-to core PROGRAM"});
  else if (by_srun(layout))
    found.push_back({Severity::warning,
                     gives + "srun gave ranks fewer: from Slurm 22.05 on it wants to be told again",
                     "srun --mpi=pmix -c $SLURM_CPUS_PER_TASK --cpu-bind=cores PROGRAM"});
}

/// Whether mpirun is in a step of srun that has no more CPUs, while the job does.
bool is_starved(const Layout& layout) {
  const SlurmFacts& slurm = layout.facts().slurm;
  const int step = slurm.tasks_around_mpirun * std::max(layout.facts().slurm_cpus_per_task, 1);
  const int used = layout.workers() * cpus_of_core(layout);
  return step > 0 && step <= used && used < slurm.cpus;
}

/// CPUs of the job that nobody computes on, as when a launcher was forgotten. In a step of srun
/// that has no more, find_nested_launchers() tells what mends it.
void find_idle_cpus(const Layout& layout, std::vector<Finding>& found) {
  const SlurmFacts& slurm = layout.facts().slurm;
  if (slurm.tasks_around_mpirun > 1 || is_starved(layout))
    return;
  const int each = cpus_of_core(layout);
  const int used = layout.workers() * each;
  if (slurm.cpus <= used)
    return;
  const int nodes = std::max(slurm.nodes, 1);
  const int threads = std::max(layout.facts().slurm_cpus_per_task / each, 1);
  const int per_node = std::max(slurm.cpus / each / nodes / threads, 1);
  const bool forgotten = layout.workers() < slurm.tasks;
  found.push_back({forgotten ? Severity::warning : Severity::note,
                   "the Slurm job has " + counted(slurm.cpus, "CPU") + " on " +
                       counted(nodes, "node") +
                       (forgotten ? " for " + counted(slurm.tasks, "task") : "") + ", but " +
                       counted(layout.workers(), "worker") + " on " +
                       counted(std::ssize(layout.nodes()), "node") +
                       (layout.workers() == 1 ? " computes" : " compute") + ": the others are idle",
                   launch_line(layout, nodes, per_node, threads)});
}

void find_lost_components(const Layout& layout, std::vector<Finding>& found) {
  const SlurmFacts& slurm = layout.facts().slurm;
  const int components = slurm.components;
  const bool by_mpirun = layout.facts().under_mpirun;
  const bool by_part = by_srun(layout) && slurm.cpus < slurm.components_cpus;
  if (components < 2 || (!by_mpirun && !by_part))
    return;
  found.push_back({Severity::warning,
                   "this is a heterogeneous job of " + counted(components, "component") +
                       (by_mpirun ? ", and mpirun uses the first alone"
                                  : " with " + counted(slurm.components_cpus, "CPU") +
                                        ", of which srun has " + std::to_string(slurm.cpus) +
                                        ": without --het-group it uses the first alone"),
                   "srun --mpi=pmix --het-group=0-" + std::to_string(components - 1) + " PROGRAM"});
}

void find_nested_launchers(const Layout& layout, std::vector<Finding>& found) {
  const SlurmFacts& slurm = layout.facts().slurm;
  const int tasks = slurm.tasks_around_mpirun;
  if (tasks < 2 && !is_starved(layout))
    return;
  found.push_back({Severity::warning,
                   tasks > 1 ? "srun has started mpirun itself " + std::to_string(tasks) +
                                   " times: each of them does the whole job"
                             : "mpirun is in a step of srun, and has no more than that: " +
                                   counted(layout.workers(), "worker") + " for the " +
                                   counted(slurm.cpus, "CPU") + " of the Slurm job",
                   "mpirun -q PROGRAM (without srun before it), or srun --mpi=pmix PROGRAM"});
}

void find_small_memory(const Layout& layout, double needed_bytes, std::vector<Finding>& found) {
  const std::int64_t given = layout.facts().slurm.memory_mib;
  const auto needed = static_cast<std::int64_t>(std::ceil(needed_bytes / (1 << 20)));
  if (given == 0 || needed <= given)
    return;
  found.push_back({Severity::warning,
                   "the root will hold up to " + std::to_string(needed) +
                       " MiB, and Slurm gives its node " + std::to_string(given) +
                       " MiB to the job: ranks that go beyond are killed",
                   "sbatch --mem=" + std::to_string(2 * needed) + "M"});
}

void find_short_time(const std::optional<std::int64_t>& left_s, std::vector<Finding>& found) {
  if (!left_s || *left_s >= short_s)
    return;
  found.push_back(
      {Severity::warning,
       "Slurm ends this job in " + std::to_string(std::max<std::int64_t>(*left_s, 0)) + " s",
       "sbatch --time=... (longer), or --requeue as cleave slurm writes it"});
}

} // namespace

void find_in_slurm(const Layout& layout, const Circumstances& circumstances,
                   std::vector<Finding>& found) {
  find_lost_cpus(layout, found);
  find_idle_cpus(layout, found);
  find_lost_components(layout, found);
  find_nested_launchers(layout, found);
  find_small_memory(layout, circumstances.memory_bytes, found);
  find_short_time(circumstances.seconds_left, found);
}

} // namespace cleave::doctor
