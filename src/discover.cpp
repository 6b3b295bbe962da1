#include "cleave/discover.hpp"

#include "machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>

namespace cleave {
namespace {

/// What one rank tells all others; a node's leader adds its machine.
struct Report {
  int threads = 0; ///< as asked for
  LaunchFacts facts;
  std::vector<int> cpus;
  bool has_machine = false;
  Machine machine;
};

std::string text_of(const Report& report) {
  std::ostringstream out;
  const LaunchFacts& facts = report.facts;
  out << report.threads << ' ' << facts.under_mpirun << ' ' << facts.under_slurm << ' '
      << facts.slurm_cpus_per_task << ' ' << facts.openmp_threads << ' ' << facts.openblas_threads
      << ' ' << facts.slurm.job << ' ' << facts.slurm.nodes << ' ' << facts.slurm.tasks << ' '
      << facts.slurm.cpus << ' ' << facts.slurm.components << ' ' << facts.slurm.components_cpus
      << ' ' << facts.slurm.tasks_around_mpirun << ' ' << facts.slurm.memory_mib << ' '
      << cpu_list(report.cpus) << ' ' << report.has_machine;
  if (report.has_machine) {
    const NodePlace& place = report.machine.place;
    out << ' ' << place.cores << ' ' << place.cpus << ' ' << place.sockets << ' '
        << std::setprecision(17) << place.quota_cpus << ' ' << place.shm_bytes << ' '
        << std::quoted(place.cpu_model);
    for (const int core : report.machine.core_of_cpu)
      out << ' ' << core;
  }
  return out.str();
}

Report report_of(const std::string& text) {
  Report report;
  std::istringstream in(text);
  LaunchFacts& facts = report.facts;
  std::string cpus;
  in >> report.threads >> facts.under_mpirun >> facts.under_slurm >> facts.slurm_cpus_per_task >>
      facts.openmp_threads >> facts.openblas_threads >> facts.slurm.job >> facts.slurm.nodes >>
      facts.slurm.tasks >> facts.slurm.cpus >> facts.slurm.components >>
      facts.slurm.components_cpus >> facts.slurm.tasks_around_mpirun >> facts.slurm.memory_mib >>
      cpus >> report.has_machine;
  report.cpus = parse_cpu_list(cpus);
  if (report.has_machine) {
    NodePlace& place = report.machine.place;
    in >> place.cores >> place.cpus >> place.sockets >> place.quota_cpus >> place.shm_bytes >>
        std::quoted(place.cpu_model);
    for (int core = 0; in >> core;)
      report.machine.core_of_cpu.push_back(core);
  }
  return report;
}

/// A CPU that the machine's map does not know counts as a core.
std::vector<int> cores_behind(const std::vector<int>& cpus, const std::vector<int>& core_of_cpu) {
  std::vector<int> cores;
  for (const int cpu : cpus) {
    const int core =
        cpu < std::ssize(core_of_cpu) ? core_of_cpu[static_cast<std::size_t>(cpu)] : -1;
    cores.push_back(core >= 0 ? core : cpu);
  }
  std::ranges::sort(cores);
  cores.erase(std::ranges::unique(cores).begin(), cores.end());
  return cores;
}

Report own_report(int threads, bool leader) {
  Report report{threads, launch_facts(), affinity_mask(), leader, {}};
  if (leader)
    report.machine = this_machine();
  return report;
}

/// Who is where: what the reports do not say.
struct Place {
  int node = 0;
  std::string host;
  std::int64_t pid = 0;
};

void check_threads(const std::vector<Report>& reports) {
  for (std::size_t rank = 0; rank < reports.size(); ++rank)
    if (reports[rank].threads < 0 || reports[rank].threads > max_threads)
      throw Error(ErrorKind::bad_input,
                  std::to_string(reports[rank].threads) + " threads on rank " +
                      std::to_string(rank) + " are not possible; give 1 to " +
                      std::to_string(max_threads) + ", or auto",
                  {"", 0, "threads"});
}

/// Gives every rank of one node its number of workers.
void settle_threads(std::vector<RankPlace>& ranks, const std::vector<std::size_t>& of_node,
                    const NodePlace& node, const LaunchFacts& facts) {
  std::vector<RankPlace> together;
  for (const std::size_t rank : of_node)
    together.push_back(ranks[rank]);
  for (std::size_t i = 0; i < of_node.size(); ++i)
    if (RankPlace& rank = ranks[of_node[i]]; rank.threads == 0)
      rank.threads = auto_threads(together, static_cast<int>(i), node, facts);
}

Layout assemble(std::vector<Report> reports, const std::vector<Place>& places, int node_count) {
  check_threads(reports);
  std::vector<std::vector<std::size_t>> ranks_of(static_cast<std::size_t>(node_count));
  std::vector<Machine> machines(ranks_of.size());
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    const auto node = static_cast<std::size_t>(places[rank].node);
    ranks_of[node].push_back(rank);
    if (!reports[rank].has_machine)
      continue;
    machines[node] = std::move(reports[rank].machine);
    machines[node].place.name = places[rank].host;
  }
  std::vector<RankPlace> ranks;
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    const Machine& machine = machines[static_cast<std::size_t>(places[rank].node)];
    std::vector<int> cores = cores_behind(reports[rank].cpus, machine.core_of_cpu);
    ranks.push_back({places[rank].node, reports[rank].threads, std::move(reports[rank].cpus),
                     std::move(cores), places[rank].pid});
  }
  std::vector<NodePlace> nodes;
  for (std::size_t node = 0; node < machines.size(); ++node) {
    settle_threads(ranks, ranks_of[node], machines[node].place, reports.front().facts);
    nodes.push_back(std::move(machines[node].place));
  }
  return {std::move(nodes), std::move(ranks), reports.front().facts};
}

} // namespace

Layout discover(const Comm& comm, int threads) {
  std::vector<Report> reports;
  for (const std::string& text : comm.all_gather(text_of(own_report(threads, comm.is_leader()))))
    reports.push_back(report_of(text));
  std::vector<Place> places;
  for (int rank = 0; rank < comm.size(); ++rank)
    places.push_back({comm.node_of(rank), comm.host_of(rank), comm.pid_of(rank)});
  return assemble(std::move(reports), places, comm.nodes());
}

Layout discover_here(int threads) {
  std::string host(256, '\0');
  gethostname(host.data(), host.size() - 1);
  host.resize(host.find('\0'));
  return assemble({own_report(threads, true)}, {{0, host, getpid()}}, 1);
}

} // namespace cleave
