/// @file
/// Sleeping on a word of memory that several processes share: the raw system call without the
/// private flag, since libstdc++'s atomic::wait never wakes another process. Linux alone.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

namespace cleave {

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

} // namespace cleave
