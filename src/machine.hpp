/// @file
/// What one machine says of itself: its cores, its control group's quota, its CPU, its clock.
#pragma once

#include "cleave/layout.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// The text of a file; empty when there is none or it cannot be read.
using ReadText = std::function<std::string(const std::string& path)>;

/// ReadText of the real file system.
[[nodiscard]] std::string read_text(const std::string& path);

/// The value after "key" and a colon in lines such as those of /proc/cpuinfo; empty when missing.
[[nodiscard]] std::string field(std::string_view text, std::string_view key);

/// The CPU's name in the text of /proc/cpuinfo.
[[nodiscard]] std::string cpu_model(std::string_view cpuinfo);

/// CPUs that control groups allow this process: the least quota of its group and those above, in
/// hierarchies of version 1 (cpu.cfs_quota_us) and 2 (cpu.max). 0: no quota.
/// @param read gives /proc/self/cgroup, /proc/self/mountinfo and the groups' files
[[nodiscard]] double quota_cpus(const ReadText& read);

/// The most memory that this process has held, resident, in bytes; 0 where the kernel does not
/// tell. getrusage's begins with what the program held that started this one. Takes 20 us.
[[nodiscard]] std::uint64_t peak_memory_bytes();

/// Physical cores and sockets that the control group's cpuset leaves of this machine.
struct Cores {
  int cores = 1;
  int cpus = 1;
  int sockets = 1;
  std::vector<int> core_of_cpu; ///< by logical CPU; -1 where there is none
};

/// Asks hwloc. About 2 ms, most of it hwloc's look for plug-ins. Where it fails, one core and no
/// map: a rank that threw here would leave the others waiting for it.
[[nodiscard]] Cores find_cores();

/// The CPUs that the calling thread's affinity mask allows, ascending; {0} where the kernel does
/// not tell.
[[nodiscard]] std::vector<int> affinity_mask();

/// Everything discover() wants to know of this machine.
struct Machine {
  NodePlace place; ///< without its name
  std::vector<int> core_of_cpu;
};
[[nodiscard]] Machine this_machine();

/// The launcher's and thread pools' environment variables.
[[nodiscard]] LaunchFacts launch_facts();

} // namespace cleave
