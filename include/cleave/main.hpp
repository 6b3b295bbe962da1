/// @file
/// The whole command line program over any workloads: `return cleave::main(argc, argv, {mine()})`.
#pragma once

#include "cleave/workload.hpp"

#include <vector>

namespace cleave {

/// Runs the program `cleave` with these workloads: reads the arguments, starts and ends MPI,
/// prints, and tells every failure by one message from one rank. Call it once, from main().
/// Collective over the ranks that the launcher started.
/// @return the exit status: 0 done and verified, 2 bad input, 3 wrong answer, failed task or I/O
[[nodiscard]] int main(int argc, char** argv, const std::vector<Workload>& workloads);

} // namespace cleave
