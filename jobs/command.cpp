/// Any program, run many times: each task is a command, started by a process that was forked before
/// MPI began. The parts are in the library, cleave/command.hpp.
#include "cleave/command.hpp"

#include "cleave/workload.hpp"

cleave::Workload command_workload() {
  return {.name = "command",
          .summary = "any program run many times, from a list of commands or a template",
          .parameters = cleave::command_parameters(),
          .prepare = cleave::prepare_commands,
          .before_mpi = cleave::start_spawn_server,
          .resumes_by = "-p joblog=FILE, and -p resume=true to go on"};
}
