/// @file
/// One command as a child process: started by posix_spawn in a process group of its own, watched,
/// and ended with its whole group.
#pragma once

#include "spawn.hpp"

namespace cleave::command {

/// Runs the program of `order` once and waits for its end. Standard input is empty. Its group is
/// ended by SIGTERM, and by SIGKILL `kill_after_s` later, when its time is over, or when `stop` can
/// be read or `caller` has lost its other end; whoever of the group outlives the program then is
/// killed. Local, thread-safe; the calling thread's affinity is the program's.
/// @param environment a null-terminated array of "NAME=value"
/// @param stop, caller file descriptors; -1: none
[[nodiscard]] SpawnReport run_process(const SpawnOrder& order, char* const* environment, int stop,
                                      int caller);

} // namespace cleave::command
