/// @file
/// How one waits: awake for 50 us, then asleep. On a word of memory, which may be shared by several
/// processes, until woken (the raw system call without the private flag, since libstdc++'s
/// atomic::wait never wakes another process, and yields before it sleeps, which costs a time slice
/// of whoever else computes); for messages, which wake nobody, in naps. Linux alone.
#pragma once

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

namespace cleave {

constexpr auto spin_time = std::chrono::microseconds(50);
// An answer of somebody who had to be woken takes so long at most: a wake takes a virtual machine
// 50 us, and to fall asleep meanwhile would cost another.
constexpr auto answer_time = std::chrono::microseconds(150);
// Who was woken by an answer may ask again at once. It may have slept for long, and takes longer to
// wake; who has answered has nothing better to do with its core.
constexpr auto question_time = std::chrono::microseconds(500);
constexpr auto longest_sleep = std::chrono::milliseconds(500); // between looks at who has left

/// Tells the processor that this loop waits.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Sleeps until woken as one of `who`, unless the word is no longer `value`; wakes for no reason
/// now and then, and at `deadline`.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint32_t who,
                       std::chrono::steady_clock::time_point deadline) noexcept {
  const auto since = deadline.time_since_epoch(); // of CLOCK_MONOTONIC, in libstdc++
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  const timespec limit{.tv_sec = whole.count(),
                       .tv_nsec = std::chrono::nanoseconds(since - whole).count()};
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value, &limit, nullptr, who);
}

/// Wakes all who sleep on the word as one of `who`.
inline void futex_wake(std::atomic<std::uint32_t>& word, std::uint32_t who) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, std::numeric_limits<int>::max(), nullptr, nullptr,
          who);
}

/// Waits while the word is `value`, half a second at most; wakes for no reason now and then.
/// @param asleep who sleeps on the word, for wake() @param spin stay awake at first
inline void wait_while(std::atomic<std::uint32_t>& word, std::uint32_t value,
                       std::atomic<std::uint32_t>& asleep, bool spin) noexcept {
  using Clock = std::chrono::steady_clock;
  for (const auto since = Clock::now(); spin && Clock::now() - since < spin_time; pause())
    if (word.load() != value)
      return;
  // Sequentially consistent on both sides: either we see the change, or its maker sees us asleep.
  ++asleep;
  if (word.load() == value)
    futex_wait(word, value, FUTEX_BITSET_MATCH_ANY, Clock::now() + longest_sleep);
  --asleep;
}

/// After the word has been changed. One load when nobody sleeps, about 2 us otherwise.
inline void wake(std::atomic<std::uint32_t>& word, std::atomic<std::uint32_t>& asleep) noexcept {
  if (asleep.load() != 0)
    futex_wake(word, FUTEX_BITSET_MATCH_ANY);
}

/// How long one who polls stays awake, and then sleeps between two looks: for a sixteenth of the
/// time waited so far, so that a wait is hardly longer for it. A nap costs a virtual machine 15 to
/// 30 us of its core, however long it is.
class Naps {
public:
  using Clock = std::chrono::steady_clock;

  /// @param longest, shortest nap
  explicit Naps(Clock::duration longest,
                Clock::duration shortest = std::chrono::microseconds(20)) noexcept
      : longest_(longest), shortest_(shortest) {}
  /// Something has come: stay awake for 50 us.
  void restart() noexcept { stay_awake(spin_time); }
  /// Stay awake for so long from now on.
  void stay_awake(Clock::duration time) noexcept {
    since_ = Clock::now();
    awake_ = time;
  }
  [[nodiscard]] bool awake() const noexcept { return Clock::now() - since_ < awake_; }
  /// The end of the next nap.
  [[nodiscard]] Clock::time_point next() const noexcept {
    const auto now = Clock::now();
    return now + std::clamp((now - since_) / 16, shortest_, longest_);
  }

private:
  Clock::duration longest_;
  Clock::duration shortest_;
  Clock::duration awake_ = spin_time;
  Clock::time_point since_ = Clock::now();
};

/// While it lives this thread's naps end on time, and not up to 50 us late.
class ExactNaps {
public:
  ExactNaps() noexcept : before_(prctl(PR_GET_TIMERSLACK)) { prctl(PR_SET_TIMERSLACK, 1UL); }
  ExactNaps(const ExactNaps&) = delete;
  ExactNaps& operator=(const ExactNaps&) = delete;
  ~ExactNaps() {
    if (before_ > 0)
      prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_));
  }

private:
  int before_;
};

} // namespace cleave
