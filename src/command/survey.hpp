/// @file
/// The state of a list of commands before it is run: how many there are, and which an earlier run
/// has done.
#pragma once

#include "cleave/workload.hpp"
#include "log_attempts.hpp"
#include "settings.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cleave::command {

/// How tasks ended, whatever the order that they ended in.
class Tally {
public:
  /// @param command of a task that failed, for messages
  void add(std::int64_t task, std::int64_t exit_value, std::int64_t signal,
           const std::string& command);

  [[nodiscard]] std::int64_t ended() const noexcept { return ended_; }
  [[nodiscard]] std::int64_t failed() const noexcept { return failed_; }
  /// Of tasks and how each ended: the same in whatever order they came.
  [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }
  /// The first few in order of the tasks: "17: exit value 3: COMMAND".
  [[nodiscard]] std::vector<std::string> failures() const;

private:
  std::int64_t ended_ = 0;
  std::int64_t failed_ = 0;
  std::uint64_t digest_ = 0;
  std::map<std::int64_t, std::string> failures_; // by task; the first few
};

/// What is known before the run.
struct Survey {
  std::int64_t tasks = 0;
  std::vector<bool> done; ///< by number - 1: not to be run; empty: none
  Tally tally;            ///< of those that are done
  KeptLog kept;           ///< where that is from
  /// All that is in it, the tasks that are to be run again too; nothing without any
  std::optional<EarlierWork> earlier;
};

/// Reads the whole list once, and the job log when it is asked for: memory grows by a bit a task,
/// and with the failures in the log. Root alone.
/// @throws Error bad_input for a command that cannot be read, and a log of another list
[[nodiscard]] Survey survey(const Settings& settings);

} // namespace cleave::command
