/// @file
/// This machine and this launch -> Layout.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/layout.hpp"

namespace cleave {

/// The most workers that a rank may ask for.
inline constexpr int max_threads = 4096;

/// Finds out who runs where: masks by sched_getaffinity, cores by hwloc (looked up by one rank a
/// node and sent to the others), quota by cgroup v1 or v2, /dev/shm, launcher variables. The same
/// value on every rank. Collective over `comm`; one all_gather of a short text a rank.
/// @param threads workers of this rank; 0: auto_threads()
/// @throws Error bad_input on every rank when some rank's threads < 0 or > max_threads
[[nodiscard]] Layout discover(const Comm& comm, int threads = 0);

/// What this process sees without MPI: one node, one rank. Before a launch, what mpirun_line() may
/// hand out. Local, thread-safe, a few ms.
/// @throws Error as discover()
[[nodiscard]] Layout discover_here(int threads = 0);

} // namespace cleave
