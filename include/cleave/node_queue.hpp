/// @file
/// The super-chunks of a node, from which its workers draw. Not for users: they see the Pool.
#pragma once

#include "cleave/schedule.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace cleave {

/// The super-chunks that a node has and its workers have not drawn, in memory that they share; all
/// zero when a call begins. One thread grants, every worker draws.
///
/// Two super-chunks at most, one begun and one in reserve. A node's super-chunks ascend, and no
/// task is granted twice: a worker that slept while its super-chunk was replaced finds that `next`
/// has changed, and draws anew.
class alignas(128) NodeQueue {
public:
  /// The next chunk for one of the node's `workers`; waits while the node has none. Nothing when
  /// all has been granted and drawn. @param whole the schedule of all tasks @param spin before
  /// sleep
  [[nodiscard]] std::optional<TaskRange> draw(const ChunkSequence& whole, int workers,
                                              const Pace& pace, bool spin);

  [[nodiscard]] bool has_room() const noexcept { return granted_ - begun_ < slots_.size(); }
  /// Units that nobody has drawn.
  [[nodiscard]] std::int64_t left() const noexcept;
  /// @pre has_room()
  void grant(TaskRange units) noexcept;
  /// Nothing more comes.
  void end() noexcept;
  /// For the next call. Nobody draws.
  void reset() noexcept;

private:
  struct Slot {
    std::atomic<std::int64_t> next;
    std::atomic<std::int64_t> last;
    std::atomic<std::int64_t> first;
  };
  void tell() noexcept;

  std::array<Slot, 2> slots_;
  std::atomic<std::uint32_t> granted_; // super-chunks
  std::atomic<std::uint32_t> begun_;   // super-chunks whose turn has passed
  std::atomic<std::uint32_t> over_;
  std::atomic<std::uint32_t> news_; // grants, and the end
  std::atomic<std::uint32_t> asleep_;
};

} // namespace cleave
