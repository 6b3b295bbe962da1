/// @file
/// A ring of bytes between two processes of a node, and the bell that wakes who waits for it.
#pragma once

#include "waiting.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace cleave::detail {

using Clock = std::chrono::steady_clock;

/// What sleepers are woken by. All zero at first, in memory that both sides see.
///
/// Who goes to sleep says so, then looks once more for what it waits for; who brings news writes
/// it, then looks for sleepers. All of it is sequentially consistent: one of them sees the other.
struct alignas(128) Bell {
  std::atomic<std::uint32_t> rung;   // times
  std::atomic<std::uint32_t> asleep; // whom to wake, a bit each; 0: they are awake
  std::atomic<int> core;             // where its end last was, and 1; 0: nobody has said so

  /// For its end, whom it may wake: before others look whether they share its core.
  void be_here() noexcept {
    if (const int here = 1 + sched_getcpu(); core.load(std::memory_order_relaxed) != here)
      core.store(here, std::memory_order_relaxed);
  }
  /// Whether its end was last on the caller's core, and may need it.
  [[nodiscard]] bool is_here() const noexcept {
    return core.load(std::memory_order_relaxed) == 1 + sched_getcpu();
  }
  /// Before who is about to sleep looks once more.
  void lie_down(std::uint32_t who) noexcept { asleep.store(who); }
  /// Wakes who sleeps. One load when nobody does, about 2 us otherwise. @return whether somebody
  /// did
  bool ring() noexcept {
    if (asleep.load() == 0)
      return false;
    const std::uint32_t who = asleep.exchange(0);
    rung.fetch_add(1);
    if (who == 0)
      return false;
    futex_wake(rung, who);
    return true;
  }
};

/// Looks at ready() until it is true or nobody need stay awake; once, unless `spin`.
/// @param yield the core, now and then
template <class Ready>
bool spin_until(bool spin, bool yield, const Naps& naps, Ready ready) {
  for (unsigned i = 0; !ready(); ++i) {
    if (!spin || (i % 32 == 0 && !naps.awake())) // the clock is dearer than a look
      return false;
    if (i % 32 == 0 && yield)
      sched_yield();
    pause();
  }
  return true;
}

/// Waits until ready(): spins for 50 us since the last ring, then sleeps. look() is called whenever
/// the waiting thread has slept in vain, twice a second at least, and may throw.
///
/// Where ranks are not bound, who is woken may come to the core of who has woken it. If both spun
/// there, each would hold up the other until it falls asleep, so they yield.
/// @param who this thread's bit of the bell @param other bell of the end that brings the news;
/// null: not known @return false when the deadline has come
template <class Ready, class Look>
bool wait_on(Bell& bell, std::uint32_t who, const Bell* other, bool spin, Naps naps,
             const std::optional<Clock::time_point>& deadline, Ready ready, Look look) {
  const auto is_ready = [&] { return ready(naps); };
  const auto shares_core = [&] {
    bell.be_here();
    return other != nullptr && other->is_here();
  };
  while (!spin_until(spin, shares_core(), naps, is_ready)) {
    if (deadline && Clock::now() >= *deadline)
      return false;
    const std::uint32_t seen = bell.rung.load();
    bell.lie_down(who);
    const bool come = is_ready();
    if (!come)
      futex_wait(bell.rung, seen, who, std::min(deadline.value_or(naps.next()), naps.next()));
    bell.asleep.store(0);
    if (come)
      return true;
    if (bell.rung.load() != seen) {
      naps.restart();
      if (is_ready()) // looking around can wait, who has been woken for this cannot
        return true;
    }
    look();
  }
  return true;
}

/// One end's view of a ring: one thread writes at a time, and one reads.
class Ring {
public:
  /// What lies in the shared memory, before the bytes. All zero at first.
  struct Control {
    alignas(128) std::atomic<std::uint64_t> written; // bytes so far
    alignas(128) std::atomic<std::uint64_t> read;    // bytes so far
    std::atomic<std::uint32_t> crowded;              // the writer, who sets it, waits for room
    Bell bell;                                       // of the end that is not root
  };

  Ring() = default;
  /// @param bytes a power of two of them @param reader, writer what wakes either end
  Ring(Control& control, std::span<std::byte> bytes, Bell& reader, Bell& writer) noexcept
      : control_(&control), bytes_(bytes), reader_(&reader), writer_(&writer) {}

  /// Bytes that can be read. For either end.
  [[nodiscard]] std::size_t filled() const noexcept {
    return static_cast<std::size_t>(control_->written.load() - control_->read.load());
  }
  [[nodiscard]] std::size_t room() const noexcept { return bytes_.size() - filled(); }
  /// For the writer: the same, and where there is none asks to be woken by all that is read until
  /// it writes again.
  [[nodiscard]] std::size_t ask_room() noexcept;

  /// Writes as many of the bytes as there is room for. @return their number
  std::size_t write(std::span<const std::byte> from) noexcept;
  /// Reads as many bytes as have come. @return their number
  std::size_t read(std::span<std::byte> to) noexcept;
  /// What can be read without copying, at most `most` bytes; consume() what was used.
  [[nodiscard]] std::span<const std::byte> front(std::size_t most) const noexcept;
  /// The same, at most what fits into `room`: those around the ring's end are copied there.
  [[nodiscard]] std::span<const std::byte> whole_front(std::span<std::byte> room) const noexcept;
  void consume(std::size_t bytes) noexcept;

  /// For the writer, who is about to write: wakes the reader. Waking takes long.
  void rouse() noexcept;
  /// Whether what was written since the last question has woken the reader.
  [[nodiscard]] bool woke() noexcept { return std::exchange(woke_, false); }
  [[nodiscard]] Bell& reader() noexcept { return *reader_; }
  [[nodiscard]] Bell& writer() noexcept { return *writer_; }

private:
  Control* control_ = nullptr;
  std::span<std::byte> bytes_;
  Bell* reader_ = nullptr;
  Bell* writer_ = nullptr;
  bool woke_ = false;
};

} // namespace cleave::detail
