/// @file
/// The threads of one rank. Makes no MPI call.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace cleave {

/// A fixed team of threads that all run the same function, again and again. The calling thread is
/// member 0, so that a team of one starts no thread at all. Owned and used by one thread.
class Team {
public:
  /// @param threads >= 1
  /// @param cpus logical CPU of each member; empty: the kernel places them. A team of one is never
  ///        pinned: the launcher has placed the rank.
  /// @param spin members that wait stay awake for 50 us at first; not when others need their cores
  /// @throws Error bad_input when the system starts no more threads
  explicit Team(int threads, const std::vector<int>& cpus = {}, bool spin = true);
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  [[nodiscard]] int threads() const noexcept { return static_cast<int>(failures_.size()); }

  /// Runs work(member) on every member and returns when all have ended. Rethrows the exception of
  /// the lowest member that threw. About 1 us when the members are awake, 50 us asleep.
  void run(const std::function<void(int)>& work);

private:
  void serve(int member);
  void dismiss() noexcept;
  void attempt(int member) noexcept;

  const std::function<void(int)>* work_ = nullptr; // published by round_
  std::atomic<std::uint32_t> round_{0};
  std::atomic<std::uint32_t> resting_{0};  // members asleep on round_
  std::atomic<std::uint32_t> busy_{0};     // members other than 0 still at work
  std::atomic<std::uint32_t> awaiting_{0}; // member 0 asleep on busy_
  bool spin_;
  bool ending_ = false; // published by round_
  bool pinned_ = false;
  cpu_set_t before_{}; // where member 0 might run before it was pinned
  std::vector<std::exception_ptr> failures_;
  std::vector<std::jthread> members_;
};

} // namespace cleave
