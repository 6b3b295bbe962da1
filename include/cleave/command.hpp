/// @file
/// Any program run many times over all workers: what the workload `command` is made of.
#pragma once

#include "cleave/workload.hpp"

#include <memory>
#include <vector>

namespace cleave {

/// The parameters of a job that runs programs: where the commands come from, how they are run and
/// what is kept. docs/workloads.md explains them.
[[nodiscard]] std::vector<Parameter> command_parameters();

/// Reads the list of commands once, and the job log of an earlier run when asked to go on with it.
/// A task is a command. The values are those of command_parameters(). Collective.
/// @throws Error bad_input, with file and line, for a command that cannot be read, parameters that
///         do not go together, files that cannot be written, a job log of other commands
[[nodiscard]] std::unique_ptr<Job> prepare_commands(const Values& values, Pool& pool);

/// Forks the process that starts commands for this one. Without it prepare_commands() does so, but
/// then a process of MPI is forked, and one with threads: where the memory allocator does not stand
/// that (the address sanitizer's of GCC 12 does not), no command may ever start. For
/// Workload::before_mpi. Local.
/// @throws Error io when the system refuses
void start_spawn_server();

} // namespace cleave
