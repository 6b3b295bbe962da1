/// @file
/// What signals do to a run: it ends soon, and one message says what is kept.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/run.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace cleave::app {

/// While it lives, SIGINT, SIGTERM and SIGUSR1 ask the run to end: requested() turns true. After
/// SIGUSR1 the tasks under way are waited for: it is sent well before the end. Where another has
/// not ended it within half a second, in a long task say, root tells what is kept, and the process
/// ends as it is, which timings files survive. A second signal kills. Signals that the program's
/// parent had ignored stay ignored. One a process.
///
/// A launcher sends SIGTERM too when a rank has failed. Then that rank has told why; where it could
/// not, since it was killed, root names it.
class Interruption {
public:
  /// @param tell reports on root; called at most once, from a thread of its own
  Interruption(bool is_root, std::function<void(const Error&)> tell);
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  ~Interruption();

  /// From now on SIGUSR1 is noted: before that it would kill, and MPI takes its time to begin.
  static void expect() noexcept;
  /// Whether a signal has come. Local, thread-safe.
  [[nodiscard]] static bool requested() noexcept;
  /// What an end from now on leaves behind.
  void keep(const Kept& kept);
  /// The ranks, one of which may be to blame. @pre outlives this
  void watch(const Comm& comm);
  /// The run has failed already, and the other ranks are yet to hear of it.
  void blame(const Error& failure);
  /// The run has ended, and the caller is about to tell how: signals do nothing any more. Does not
  /// return where a signal is ending the process already.
  void disarm();

private:
  void wait();
  void tell_end() const;

  bool is_root_;
  std::function<void(const Error&)> tell_;
  std::mutex mutex_;
  std::condition_variable disarming_;
  bool disarmed_ = false;
  Kept kept_;
  const Comm* comm_ = nullptr;
  std::optional<Error> failure_;
  std::jthread watcher_;
};

} // namespace cleave::app
