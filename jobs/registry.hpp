/// @file
/// The workloads that the program `cleave` knows: the list in jobs/CMakeLists.txt.
#pragma once

#include "cleave/workload.hpp"

#include <vector>

namespace cleave {

/// Every workload of the list, in its order. Local, thread-safe.
[[nodiscard]] std::vector<Workload> all_workloads();

} // namespace cleave
