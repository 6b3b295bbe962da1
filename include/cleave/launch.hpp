/// @file
/// The one place that starts mpirun, and what the environment says of the launcher around us.
/// Makes no MPI call.
#pragma once

#include "cleave/layout.hpp"

#include <map>
#include <string>
#include <vector>

namespace cleave {

/// Whether a launcher has started this process as one of its ranks (mpirun, or srun with PMI).
/// Local.
[[nodiscard]] bool under_launcher();

/// This process's rank as the launcher says, before MPI knows it; 0 when there is no launcher.
/// Local.
[[nodiscard]] int launched_rank();

/// A command that replaces this process.
struct CommandLine {
  std::vector<std::string> arguments;             ///< the program first
  std::map<std::string, std::string> environment; ///< variables to add, unless they are set
};

/// The mpirun line that starts `program arguments` as `ranks` ranks of `threads` workers (0: auto)
/// on this machine, bound as the doctor would have it; over-subscribed, and then without spinning,
/// when there are more workers than cores. Local, thread-safe.
/// @param here this machine, such as discover_here()
[[nodiscard]] CommandLine launch_line(int ranks, int threads, const Layout& here,
                                      const std::string& program,
                                      const std::vector<std::string>& arguments, bool as_root);

/// Becomes the command: does not return.
/// @throws Error bad_input when the program cannot be started, with the mend
[[noreturn]] void become(const CommandLine& command);

/// The file of the running program, as another process can start it. Local.
[[nodiscard]] std::string this_program();

} // namespace cleave
