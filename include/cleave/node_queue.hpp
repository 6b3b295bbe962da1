/// @file
/// The super-chunks of a node, from which its workers draw. Not for users: they see the Pool.
#pragma once

#include "cleave/schedule.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace cleave {

/// The super-chunks that a node has and its workers have not drawn, in memory that they share, zero
/// at first, and reset before each call. One thread grants, every worker draws. Super-chunks are
/// numbered from 0 on: the turn.
///
/// Two super-chunks at most, one begun and one in reserve. A node's super-chunks ascend, and no
/// task is granted twice: a worker that slept while its super-chunk was replaced finds that `next`
/// has changed, and draws anew.
class alignas(128) NodeQueue {
public:
  /// What a worker has drawn of one super-chunk and not told to be done.
  struct Share {
    std::uint32_t turn = 0;
    std::int64_t units = 0;
  };
  /// The next chunk for one of the node's `workers`; waits while the node has none. Nothing when
  /// all has been granted and drawn. @param whole the schedule of all tasks @param spin before
  /// sleep @param share of this worker, which is done with what it has drawn before @param lost
  /// asked now and then by who waits: whether nothing can come any more, which gives up
  [[nodiscard]] std::optional<TaskRange> draw(const ChunkSequence& whole, int workers,
                                              const Pace& pace, bool spin, Share& share,
                                              const std::function<bool()>& lost = {});
  /// Units of a super-chunk that are known to be done, their results written. So many turns apart,
  /// two super-chunks have one count: @pre the other has none under way
  [[nodiscard]] std::int64_t done(std::uint32_t turn) const noexcept {
    return done_[turn % counts];
  }
  static constexpr std::uint32_t counts = 256; // sizes halve: a call of hours has 60 super-chunks
  /// The same of all super-chunks.
  [[nodiscard]] std::int64_t done() const noexcept { return done_in_all_; }

  [[nodiscard]] bool has_room() const noexcept { return granted_ - begun_ < slots_.size(); }
  /// Units that nobody has drawn.
  [[nodiscard]] std::int64_t left() const noexcept;
  /// @pre has_room()
  void grant(TaskRange units) noexcept;
  /// Nothing more comes.
  void end() noexcept;
  /// Something that was drawn on this node will never be done: an exception ends the call here.
  void give_up() noexcept;
  [[nodiscard]] bool given_up() const noexcept { return given_up_ != 0; }
  /// For the next call. Nobody draws.
  void reset() noexcept;

private:
  struct Slot {
    std::atomic<std::int64_t> next;
    std::atomic<std::int64_t> last;
    std::atomic<std::int64_t> first;
  };
  void tell() noexcept;
  void finish(Share& share) noexcept;

  std::array<Slot, 2> slots_;
  std::atomic<std::uint32_t> granted_; // super-chunks
  std::atomic<std::uint32_t> begun_;   // super-chunks whose turn has passed
  std::atomic<std::uint32_t> over_;
  std::atomic<std::uint32_t> news_; // grants, and the end
  std::atomic<std::uint32_t> asleep_;
  std::atomic<std::uint32_t> given_up_;
  std::atomic<std::int64_t> done_in_all_;
  std::array<std::atomic<std::int64_t>, counts> done_; // by turn
};

} // namespace cleave
