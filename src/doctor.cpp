// The doctor of cleave/layout.hpp: one small function a symptom.
#include "doctor.hpp"

#include "words.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

namespace cleave {
namespace {

using Severity = Finding::Severity;
using doctor::counted;

constexpr std::uint64_t small_shm_bytes = std::uint64_t{128} << 20;

const NodePlace& node_of(const Layout& layout, const RankPlace& rank) {
  return layout.nodes()[static_cast<std::size_t>(rank.node)];
}

int node_count(const Layout& layout) {
  return static_cast<int>(layout.nodes().size());
}

/// Cores of a node that Slurm has given to the job; as many as it has where nothing is known.
int allocated_cores(const Layout& layout, const NodePlace& node) {
  const SlurmFacts& slurm = layout.facts().slurm;
  if (slurm.cpus == 0 || slurm.nodes == 0)
    return node.cores;
  const int cpus_of_core = std::max(1, node.cpus / std::max(node.cores, 1));
  return std::max(1, slurm.cpus / slurm.nodes / cpus_of_core);
}

/// Fewest cores that a node of the job has for it.
int cores_everywhere(const Layout& layout) {
  int fewest = layout.nodes().front().cores;
  for (const NodePlace& node : layout.nodes()) {
    const int quota =
        node.quota_cpus > 0 ? std::max(1, static_cast<int>(node.quota_cpus)) : node.cores;
    fewest = std::min({fewest, node.cores, quota, allocated_cores(layout, node)});
  }
  return fewest;
}

std::string launch_line(const Layout& layout, int per_node, int threads) {
  return doctor::launch_line(layout, node_count(layout), per_node, threads);
}

/// As many ranks a node as now, as far as they have a core each, with the threads that fit.
std::string fitting_line(const Layout& layout) {
  const int cores = cores_everywhere(layout);
  int most_ranks = 1;
  for (int node = 0; node < node_count(layout); ++node)
    most_ranks = std::max(most_ranks, layout.ranks_on(node));
  const int per_node = std::min(most_ranks, cores);
  const int threads = std::clamp(layout.threads(), 1, cores / per_node);
  return launch_line(layout, per_node, threads);
}

void find_oversubscription(const Layout& layout, std::vector<Finding>& found) {
  for (int node = 0; node < node_count(layout); ++node) {
    const int workers = layout.workers_on(node);
    const int cores = layout.allowed_cores(node); // find_quota() tells of a quota
    if (workers <= cores)
      continue;
    found.push_back({Severity::warning,
                     layout.nodes()[static_cast<std::size_t>(node)].name + " runs " +
                         counted(workers, "worker") + " on " + counted(cores, "core") +
                         ": they take turns, and timings say nothing about speed-up",
                     fitting_line(layout)});
  }
}

bool is_confined(const Layout& layout, const RankPlace& rank) {
  return std::ssize(rank.cores) < node_of(layout, rank).cores;
}

/// Ranks whose own mask has fewer cores than they have threads.
void find_crowded_ranks(const Layout& layout, std::vector<Finding>& found) {
  const auto crowded = [&layout](const RankPlace& rank) {
    return is_confined(layout, rank) && rank.threads > std::ssize(rank.cores);
  };
  const auto count = std::ranges::count_if(layout.ranks(), crowded);
  if (count == 0)
    return;
  const RankPlace& first = *std::ranges::find_if(layout.ranks(), crowded);
  found.push_back({Severity::warning,
                   "the launcher bound " + counted(count, "rank") +
                       " to fewer cores than threads (" + counted(first.threads, "thread") +
                       " on " + counted(std::ssize(first.cores), "core") +
                       "): the threads share them",
                   fitting_line(layout)});
}

/// The workers of each set of ranks of one node that have one and the same mask.
struct SharedMask {
  int ranks = 0;
  int workers = 0;
  const RankPlace* first = nullptr;
};

std::vector<SharedMask> shared_masks(const Layout& layout) {
  std::map<std::pair<int, std::vector<int>>, SharedMask> by_mask;
  for (const RankPlace& rank : layout.ranks()) {
    SharedMask& mask = by_mask[{rank.node, rank.cpus}];
    ++mask.ranks;
    mask.workers += rank.threads;
    if (mask.first == nullptr)
      mask.first = &rank;
  }
  std::vector<SharedMask> shared;
  for (const auto& [key, mask] : by_mask)
    if (mask.ranks > 1)
      shared.push_back(mask);
  return shared;
}

/// Ranks with one mask: too many for it, or merely not kept apart.
void find_shared_masks(const Layout& layout, std::vector<Finding>& found) {
  const std::vector<SharedMask> shared = shared_masks(layout);
  const auto crowded = std::ranges::find_if(shared, [&layout](const SharedMask& mask) {
    return is_confined(layout, *mask.first) && mask.workers > std::ssize(mask.first->cores);
  });
  const auto together = [&layout](const SharedMask& mask) {
    return counted(mask.ranks, "rank") + " of " + node_of(layout, *mask.first).name +
           " may use the same CPUs " + cpu_list(mask.first->cpus);
  };
  if (crowded != shared.end())
    found.push_back(
        {Severity::warning,
         together(*crowded) + ", fewer cores than their " + counted(crowded->workers, "worker"),
         fitting_line(layout)});
  else if (!shared.empty() && !layout.oversubscribed())
    found.push_back({Severity::note,
                     together(shared.front()) +
                         (is_confined(layout, *shared.front().first)
                              ? ": nothing keeps them apart"
                              : ": they are not bound, so the system may move them about"),
                     fitting_line(layout)});
}

/// Cores that the launcher's binding leaves to nobody. A Slurm step owns no more than its masks,
/// and what its job has is known.
void find_idle_cores(const Layout& layout, std::vector<Finding>& found) {
  const LaunchFacts& facts = layout.facts();
  if ((facts.under_slurm && !facts.under_mpirun) || facts.slurm.cpus > 0)
    return;
  for (int node = 0; node < node_count(layout); ++node) {
    const NodePlace& place = layout.nodes()[static_cast<std::size_t>(node)];
    const int allowed = layout.allowed_cores(node);
    const int ranks = layout.ranks_on(node);
    if (allowed >= place.cores || ranks == 0 || ranks > place.cores)
      continue;
    found.push_back({Severity::note,
                     "the ranks of " + place.name + " may use " + std::to_string(allowed) + " of " +
                         counted(place.cores, "core"),
                     launch_line(layout, ranks, cores_everywhere(layout) / ranks)});
    return;
  }
}

void find_quota(const Layout& layout, std::vector<Finding>& found) {
  for (int node = 0; node < node_count(layout); ++node) {
    const NodePlace& place = layout.nodes()[static_cast<std::size_t>(node)];
    if (place.quota_cpus <= 0 || place.quota_cpus >= layout.allowed_cores(node))
      continue;
    const bool exceeded = layout.workers_on(node) > place.quota_cpus;
    const double quota = std::round(place.quota_cpus * 100) / 100;
    std::string number = std::to_string(quota);
    number.erase(number.find_last_not_of('0') + 1);
    if (number.back() == '.')
      number.pop_back();
    found.push_back({exceeded ? Severity::warning : Severity::note,
                     "a cgroup quota gives " + place.name + ' ' + number + " CPUs of its " +
                         counted(place.cores, "core") +
                         (exceeded ? ": workers beyond it are stopped many times a second" : ""),
                     exceeded ? fitting_line(layout)
                              : "docker run --cpus=" + std::to_string(place.cores) +
                                    " (or the cpu.max of the control group)"});
    return;
  }
}

void find_unlike_nodes(const Layout& layout, std::vector<Finding>& found) {
  std::map<std::pair<int, std::string>, std::vector<std::string>> kinds;
  for (const NodePlace& node : layout.nodes())
    kinds[{node.cores, node.cpu_model}].push_back(node.name);
  if (kinds.size() < 2)
    return;
  const auto& [kind, names] =
      *std::ranges::max_element(kinds, {}, [](const auto& each) { return each.second.size(); });
  std::vector<std::string> hosts;
  for (const std::string& name : names)
    hosts.push_back(name + ':' + std::to_string(kind.first));
  found.push_back({Severity::warning,
                   "the nodes are of " + std::to_string(kinds.size()) +
                       " kinds (cores or CPU model): with a static schedule all wait for the "
                       "slowest",
                   layout.facts().under_slurm
                       ? "srun --mpi=pmix -w " + join(names, ",") + " PROGRAM"
                       : "mpirun -q --host " + join(hosts, ",") + " PROGRAM"});
}

void find_thread_pools(const Layout& layout, std::vector<Finding>& found) {
  const std::vector<std::pair<std::string, int>> pools = {
      {"OMP_NUM_THREADS", layout.facts().openmp_threads},
      {"OPENBLAS_NUM_THREADS", layout.facts().openblas_threads}};
  for (const auto& [variable, threads] : pools)
    for (int node = 0; node < node_count(layout); ++node) {
      const int workers = layout.workers_on(node);
      const int cores = layout.usable_cores(node);
      if (threads <= 1 || std::int64_t{threads} * workers <= cores)
        continue;
      found.push_back({Severity::warning,
                       variable + '=' + std::to_string(threads) + " in each of " +
                           counted(workers, "worker") + " makes " +
                           counted(std::int64_t{threads} * workers, "thread") + " on " +
                           counted(cores, "core"),
                       "export " + variable + "=1"});
      break;
    }
}

void find_small_shm(const Layout& layout, std::vector<Finding>& found) {
  for (const NodePlace& node : layout.nodes()) {
    if (node.shm_bytes >= small_shm_bytes)
      continue;
    found.push_back({Severity::note,
                     "/dev/shm of " + node.name + " has " + std::to_string(node.shm_bytes >> 20) +
                         " MiB free: inputs and results may be copied once more a rank",
                     "docker run --shm-size=1g (or mount -o remount,size=1g /dev/shm)"});
    return;
  }
}

} // namespace

namespace doctor {

std::string counted(std::int64_t count, const std::string& noun) {
  return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

std::string launch_line(const Layout& layout, int nodes, int per_node, int threads) {
  const int ranks = per_node * nodes;
  const std::string with_threads =
      threads > 1 ? " PROGRAM --threads " + std::to_string(threads) : " PROGRAM";
  if (layout.facts().under_slurm && !layout.facts().under_mpirun)
    return "srun --mpi=pmix -n " + std::to_string(ranks) +
           " --cpus-per-task=" + std::to_string(threads) + " --cpu-bind=cores" + with_threads;
  if (nodes == 1)
    return join(mpirun_line(ranks, threads, cores_everywhere(layout)), " ") + with_threads;
  return "mpirun -q -n " + std::to_string(ranks) + " --map-by ppr:" + std::to_string(per_node) +
         ":node:PE=" + std::to_string(threads) + " --bind-to core" + with_threads;
}

} // namespace doctor

std::vector<Finding> findings(const Layout& layout, const Circumstances& circumstances) {
  std::vector<Finding> found;
  if (layout.nodes().empty())
    return found;
  find_oversubscription(layout, found);
  find_crowded_ranks(layout, found);
  find_shared_masks(layout, found);
  doctor::find_in_slurm(layout, circumstances, found);
  find_thread_pools(layout, found);
  find_unlike_nodes(layout, found);
  find_quota(layout, found);
  find_idle_cores(layout, found);
  find_small_shm(layout, found);
  std::ranges::stable_sort(found, std::ranges::greater{}, &Finding::severity);
  return found;
}

} // namespace cleave
