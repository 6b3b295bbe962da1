/// @file
/// The parameters of a run of commands as typed values.
#pragma once

#include "cleave/workload.hpp"
#include "spawn.hpp"
#include "task_list.hpp"

#include <cstdint>
#include <filesystem>

namespace cleave::command {

/// What a run of commands is asked for.
struct Settings {
  TaskSource source;
  bool from_stdin = false;
  SpawnOrder order;              ///< what all orders have in common
  std::int64_t max_failures = 0; ///< begin no task after so many failures; 0: no limit
  std::filesystem::path outputs; ///< folder of NUMBER.out and NUMBER.err; empty: they are told
  bool tag = true;
  std::filesystem::path joblog; ///< empty: none
  bool resume = false;
  bool retry_failed = false;
};

/// Reads and compares parameters; looks at no file. Local, thread-safe.
/// @throws Error bad_input for parameters that do not go together
[[nodiscard]] Settings read_settings(const Values& values);

} // namespace cleave::command
