/// @file
/// Work on bytes that nobody vouches for, tried in a process that may die of them.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace cleave {

/// How a trial ended.
struct TrialEnd {
  bool survived = false;
  std::string message; ///< of the exception that ended it (an Error's without its place), or empty
};

/// Runs `work` in a forked child of this process, which may crash or never end. About 1 ms beside
/// the work itself. Local; MPI and open files of this process are left alone.
/// @param cpu_limit the child is ended after this much time on a core
[[nodiscard]] TrialEnd trial(const std::function<void()>& work, std::chrono::seconds cpu_limit);

} // namespace cleave
