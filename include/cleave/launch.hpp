/// @file
/// The one place that starts mpirun, and what the environment says of the launcher around us.
/// Makes no MPI call.
#pragma once

#include "cleave/layout.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cleave {

/// Whether a launcher has started this process as one of its ranks (mpirun, or srun with PMI).
/// Local.
[[nodiscard]] bool under_launcher();

/// This process's rank as the launcher says, before MPI knows it; 0 when there is no launcher.
/// Local.
[[nodiscard]] int launched_rank();

/// A command that replaces this process, or that it starts.
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

/// The srun line of the same within an allocation, bound to cores.
/// @param nodes that the ranks share @param overcommit more workers than cores
[[nodiscard]] CommandLine srun_launch_line(int nodes, int ranks, int threads, bool overcommit,
                                           const std::string& program,
                                           const std::vector<std::string>& arguments);

/// The line as a shell reads it back, its environment first. Local, thread-safe.
[[nodiscard]] std::string shell_text(const CommandLine& command);

/// A command that was started, in a process group of its own: Ctrl-C at the terminal does not reach
/// it. It is asked to end when this process does, even by SIGKILL. One that takes no notice for 10
/// s that all its children have died is killed: mpirun of Open MPI 4.1 waits for ever for ranks
/// that are killed while they begin. One thread's.
class Launch {
public:
  /// Starts it with no input; what it prints goes to the end of a file.
  /// @throws Error bad_input when the program cannot be started, io when the file cannot
  Launch(const CommandLine& command, const std::filesystem::path& output);
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;
  /// Ends it, and waits for that.
  ~Launch();

  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// Waits for its end, so long at most, or until a signal comes.
  /// @return its status, 128 + N when signal N killed it; nothing while it runs
  [[nodiscard]] std::optional<int> wait(std::chrono::milliseconds time);
  /// Asks it to end, by SIGTERM.
  void terminate() const noexcept;

private:
  void end_if_forlorn();

  int pid_ = 0;
  int watch_ = -1; // becomes readable at its end; -1 where the kernel has no such thing
  std::optional<std::chrono::steady_clock::time_point> forlorn_; // since when its children are dead
  std::optional<int> status_;
};

/// The file of the running program, as another process can start it. Local.
[[nodiscard]] std::string this_program();

} // namespace cleave
