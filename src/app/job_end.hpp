/// @file
/// How long the Slurm job around us may still run.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <thread>

namespace cleave::app {

/// Asks Slurm at the beginning and every minute, since a job's end may be moved, from a thread of
/// its own. Costs nothing outside of a Slurm job.
class JobEnd {
public:
  /// @param ask false: never; one rank is to ask
  explicit JobEnd(bool ask);
  JobEnd(const JobEnd&) = delete;
  JobEnd& operator=(const JobEnd&) = delete;
  ~JobEnd() = default;

  /// Seconds until the job is ended; infinity where nothing is known. Local, thread-safe.
  [[nodiscard]] double seconds_left() const noexcept;

private:
  void ask_again(const std::stop_token& token);

  using Clock = std::chrono::steady_clock;                       // nobody sets it
  std::atomic<Clock::time_point> end_{Clock::time_point::max()}; // the latest: not known
  std::mutex mutex_;
  std::condition_variable_any ending_;
  std::jthread asker_; // the last: it uses the rest
};

} // namespace cleave::app
