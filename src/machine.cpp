#include "machine.hpp"

#include "cleave/slurm.hpp"

#include <hwloc.h>
#include <sched.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

namespace cleave {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\n");
  const std::size_t last = text.find_last_not_of(" \t\n");
  return first == std::string_view::npos ? std::string_view{}
                                         : text.substr(first, last - first + 1);
}

std::vector<std::string> words(const std::string& text, char separator) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);)
    all.push_back(word);
  return all;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

/// Where one hierarchy of control groups that rules CPU time can be seen.
struct Hierarchy {
  bool unified = false; ///< version 2
  std::string root;     ///< the group that is visible at `mount`
  std::string mount;
};

/// /proc/self/mountinfo: "ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [TAGS] - TYPE SOURCE OPTIONS".
std::vector<Hierarchy> hierarchies(const std::string& mountinfo) {
  std::vector<Hierarchy> found;
  for (const std::string& line : words(mountinfo, '\n')) {
    const std::vector<std::string> mount = words(line, ' ');
    const auto dash = std::ranges::find(mount, "-");
    if (mount.size() < 5 || mount.end() - dash < 4)
      continue;
    const bool unified = dash[1] == "cgroup2";
    if (unified || (dash[1] == "cgroup" && contains(words(dash[3], ','), "cpu")))
      found.push_back({unified, mount[3], mount[4]});
  }
  return found;
}

/// /proc/self/cgroup: "ID:CONTROLLERS:GROUP", with no controllers in version 2.
std::string group_in(const Hierarchy& hierarchy, const std::string& own_groups) {
  for (const std::string& line : words(own_groups, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos)
      continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (hierarchy.unified ? controllers.empty() : contains(words(controllers, ','), "cpu"))
      return line.substr(second + 1);
  }
  return {};
}

double ratio(std::string_view quota_us, std::string_view period_us) {
  const auto number = [](std::string_view text) {
    double value = 0; // "max" and "-1", no quota, stay at or below 0
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const double quota = number(trimmed(quota_us));
  const double period = number(trimmed(period_us));
  return quota > 0 && period > 0 ? quota / period : 0;
}

double quota_of(const Hierarchy& hierarchy, const std::string& directory, const ReadText& read) {
  if (!hierarchy.unified)
    return ratio(read(directory + "/cpu.cfs_quota_us"), read(directory + "/cpu.cfs_period_us"));
  const std::string limit = read(directory + "/cpu.max");
  const std::size_t space = std::min(limit.find(' '), limit.size());
  return ratio(std::string_view(limit).substr(0, space), std::string_view(limit).substr(space));
}

double smaller_quota(double a, double b) {
  return a > 0 && b > 0 ? std::min(a, b) : std::max(a, b);
}

int count(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return std::max(1, hwloc_get_nbobjs_by_type(topology, type));
}

/// Only what find_cores() asks for: every other type and source costs start-up time.
void restrict_to_cores(hwloc_topology_t topology) {
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
  // The x86 source runs CPUID on every CPU in turn: 3 ms on 2 cores where Linux needs 0.3 ms.
  hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                         HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                         HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
}

void read_cores(hwloc_topology_t topology, Cores& cores) {
  cores.cores = count(topology, HWLOC_OBJ_CORE);
  cores.cpus = count(topology, HWLOC_OBJ_PU);
  cores.sockets = count(topology, HWLOC_OBJ_PACKAGE);
  for (hwloc_obj_t pu = nullptr;
       (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != nullptr;) {
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    const std::size_t cpu = pu->os_index;
    cores.core_of_cpu.resize(std::max(cores.core_of_cpu.size(), cpu + 1), -1);
    // A virtual machine may hide its cores: then every CPU counts as one.
    cores.core_of_cpu[cpu] = static_cast<int>((core != nullptr ? core : pu)->logical_index);
  }
}

std::uint64_t free_bytes(const char* directory) {
  struct statvfs space {};
  return statvfs(directory, &space) == 0 ? std::uint64_t{space.f_bavail} * space.f_frsize : 0;
}

int number_in(const char* variable) {
  // OMP_NUM_THREADS may be a list, "4,2", by nesting level: the first counts.
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : static_cast<int>(std::strtol(text, nullptr, 10));
}

} // namespace

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == key)
      return std::string(trimmed(line.substr(colon + 1)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

std::uint64_t peak_memory_bytes() {
  const std::string text = field(read_text("/proc/self/status"), "VmHWM"); // such as "1234 kB"
  std::uint64_t kib = 0;
  std::from_chars(text.data(), text.data() + text.size(), kib);
  return kib * 1024;
}

std::string cpu_model(std::string_view cpuinfo) {
  for (const char* key : {"model name", "Model", "cpu", "uarch"}) // x86, Arm, POWER, RISC-V
    if (std::string model = field(cpuinfo, key); !model.empty())
      return model;
  return "unknown";
}

double quota_cpus(const ReadText& read) {
  const std::string own_groups = read("/proc/self/cgroup");
  double least = 0;
  for (const Hierarchy& hierarchy : hierarchies(read("/proc/self/mountinfo"))) {
    std::string group = group_in(hierarchy, own_groups);
    if (hierarchy.root != "/" && group.starts_with(hierarchy.root))
      group.erase(0, hierarchy.root.size()); // a container sees its own group as the top
    while (!group.empty() && group.back() == '/')
      group.pop_back();
    for (;; group.erase(std::min(group.rfind('/'), group.size()))) {
      least = smaller_quota(least, quota_of(hierarchy, hierarchy.mount + group, read));
      if (group.empty())
        break;
    }
  }
  return least;
}

Cores find_cores() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0)
    return {};
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> topology(
      raw, &hwloc_topology_destroy);
  restrict_to_cores(raw);
  Cores cores;
  if (hwloc_topology_load(raw) == 0)
    read_cores(raw, cores);
  return cores;
}

std::vector<int> affinity_mask() {
  // The kernel refuses a set smaller than its own, whose size it tells nobody.
  for (std::size_t limit = 1024; limit <= std::size_t{1} << 20; limit *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(
        CPU_ALLOC(limit), [](cpu_set_t* allocated) { CPU_FREE(allocated); });
    const std::size_t bytes = CPU_ALLOC_SIZE(limit);
    if (set == nullptr || sched_getaffinity(0, bytes, set.get()) != 0)
      continue;
    std::vector<int> cpus;
    for (std::size_t cpu = 0; cpu < limit; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, set.get()))
        cpus.push_back(static_cast<int>(cpu));
    return cpus;
  }
  return {0};
}

Machine this_machine() {
  Cores cores = find_cores();
  NodePlace place;
  place.cores = cores.cores;
  place.cpus = cores.cpus;
  place.sockets = cores.sockets;
  place.quota_cpus = quota_cpus(read_text);
  place.shm_bytes = free_bytes("/dev/shm");
  place.cpu_model = cpu_model(read_text("/proc/cpuinfo"));
  return {std::move(place), std::move(cores.core_of_cpu)};
}

LaunchFacts launch_facts() {
  // MPI itself may set OMPI_COMM_WORLD_SIZE under srun too; Slurm's PMIx server names its jobs.
  const char* server = std::getenv("PMIX_NAMESPACE");
  const bool by_srun = server != nullptr && std::string_view(server).starts_with("slurm.");
  return {.under_mpirun = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr && !by_srun,
          .under_slurm = std::getenv("SLURM_JOB_ID") != nullptr,
          .slurm_cpus_per_task = number_in("SLURM_CPUS_PER_TASK"),
          .openmp_threads = number_in("OMP_NUM_THREADS"),
          .openblas_threads = number_in("OPENBLAS_NUM_THREADS"),
          .slurm = slurm_facts()};
}

} // namespace cleave
