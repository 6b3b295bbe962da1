/// @file
/// Watches the tasks of one rank that have a time-out.
#pragma once

#include "cleave/worker.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

namespace cleave::detail {

/// A task that goes on long after its time was over.
struct StuckTask {
  int thread = 0;
  std::int64_t task = 0;
  std::string timeout; ///< such as "1 s"
  std::string stack;   ///< of the thread, innermost call first, a line each
};

/// While it lives, reports the first task that goes on for as long as its time-out again, at least
/// a second: from a thread of its own, once.
class Watchdog {
public:
  /// @param watches by thread; outlive this
  Watchdog(std::span<const Watch> watches, std::function<void(const StuckTask&)> report);

private:
  void watch(const std::stop_token& stop);
  [[nodiscard]] std::optional<StuckTask> stuck_task() const;
  [[nodiscard]] Watch::Clock::time_point next_look() const;

  std::span<const Watch> watches_;
  std::function<void(const StuckTask&)> report_;
  std::mutex mutex_;
  std::condition_variable_any ending_;
  std::jthread watcher_;
};

} // namespace cleave::detail
