/// @file
/// Work on bytes that nobody vouches for, tried in a process that may die of them.
#pragma once

#include "handle.hpp"

#include <sys/types.h>

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

/// Work that goes on in a forked child of this process, which may crash or never end, while this
/// process does something else. About 1 ms beside the work itself. Begin it while this process has
/// one thread. Local; MPI and open files of this process are left alone.
class Trial {
public:
  /// @param cpu_limit the child is ended after this much time on a core
  Trial(const std::function<void()>& work, std::chrono::seconds cpu_limit);
  Trial(Trial&& other) noexcept;
  Trial& operator=(Trial&& other) noexcept;
  ~Trial(); ///< ends the child

  /// Waits for the child's end. Once.
  [[nodiscard]] TrialEnd end();

private:
  Descriptor answer_;
  pid_t child_ = -1;
};

/// Runs `work` in a Trial and waits for its end.
[[nodiscard]] TrialEnd trial(const std::function<void()>& work, std::chrono::seconds cpu_limit);

} // namespace cleave
