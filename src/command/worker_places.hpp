/// @file
/// The cores that each worker's commands may use.
#pragma once

#include "cleave/layout.hpp"
#include "spawn_server.hpp"

#include <vector>

namespace cleave::command {

/// The places of a rank's workers, by thread. The CPUs of a rank that no other rank may use are
/// dealt out to its workers where each is a core; else all of them have the rank's. The environment
/// names the rank (CLEAVE_RANK), the node (CLEAVE_NODE) and how many threads of its own a command
/// should have (OMP_NUM_THREADS, OPENBLAS_NUM_THREADS). Pure; local; thread-safe.
[[nodiscard]] std::vector<WorkerPlace> worker_places(const Layout& layout, int rank);

} // namespace cleave::command
