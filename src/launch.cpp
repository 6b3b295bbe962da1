#include "cleave/launch.hpp"

#include "cleave/error.hpp"
#include "command/shell_words.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <utility>

namespace cleave {
namespace {

// Set by become(): a launcher that we do not know must not make us launch again, and again.
constexpr const char* launched_mark = "CLEAVE_LAUNCHED";

} // namespace

bool under_launcher() {
  for (const char* variable :
       {"OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE", "PMIX_RANK", "PMI_RANK", launched_mark})
    if (std::getenv(variable) != nullptr)
      return true;
  return false;
}

int launched_rank() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* text = std::getenv(variable))
      return std::atoi(text);
  return 0;
}

CommandLine launch_line(int ranks, int threads, const Layout& here, const std::string& program,
                        const std::vector<std::string>& arguments, bool as_root) {
  CommandLine command;
  command.arguments = mpirun_line(ranks, threads, here);
  command.arguments.push_back(program);
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  if (as_root) { // Open MPI refuses root unless told twice
    command.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    command.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  }
  command.environment[launched_mark] = "1";
  if (ranks * std::max(threads, 1) > here.usable_cores(0))
    command.environment["OMPI_MCA_mpi_yield_when_idle"] = "1";
  return command;
}

CommandLine srun_launch_line(int nodes, int ranks, int threads, bool overcommit,
                             const std::string& program,
                             const std::vector<std::string>& arguments) {
  CommandLine command;
  command.arguments = {"srun",
                       "--mpi=pmix",
                       "-N" + std::to_string(nodes),
                       "-n" + std::to_string(ranks),
                       "-c" + std::to_string(std::max(threads, 1)),
                       overcommit ? "--cpu-bind=none" : "--cpu-bind=cores"};
  if (overcommit)
    command.arguments.emplace_back("--overcommit");
  command.arguments.push_back(program);
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.environment[launched_mark] = "1";
  // By its own choice of fence Slurm's PMIx (22.05) lets some ranks out of MPI_Init too early.
  command.environment["SLURM_PMIX_FENCE"] = "ring";
  if (overcommit)
    command.environment["OMPI_MCA_mpi_yield_when_idle"] = "1";
  return command;
}

std::string shell_text(const CommandLine& command) {
  std::string text;
  for (const auto& [name, value] : command.environment)
    text += name + "=" + command::shell_quoted(value) + " ";
  return text + command::shell_line(command.arguments);
}

void become(const CommandLine& command) {
  for (const auto& [name, value] : command.environment)
    setenv(name.c_str(), value.c_str(), 0);
  std::vector<std::string> arguments = command.arguments; // execvp wants them writable
  std::vector<char*> pointers;
  for (std::string& argument : arguments)
    pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execvp(pointers.front(), pointers.data());
  throw Error(ErrorKind::bad_input, "cannot start " + arguments.front() + ": " +
                                        std::strerror(errno) +
                                        "; install openmpi-bin, or leave -n out and start the "
                                        "program by your own launcher");
}

std::string this_program() {
  std::error_code error;
  const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error)
    throw Error(ErrorKind::io, "cannot tell which program is running: " + error.message());
  return file.string();
}

} // namespace cleave
