#include "cleave/node_queue.hpp"

#include "waiting.hpp"

#include <algorithm>
#include <utility>

namespace cleave {

std::optional<TaskRange> NodeQueue::draw(const ChunkSequence& whole, int workers, const Pace& pace,
                                         bool spin, Share& share,
                                         const std::function<bool()>& lost) {
  for (;;) {
    const std::uint32_t news = news_;
    const bool over = over_ != 0; // looked at first: what was granted before the end is seen below
    std::uint32_t turn = begun_;
    if (turn == granted_) {
      finish(share);
      if (over)
        return std::nullopt;
      wait_while(news_, news, asleep_, spin);
      if (news_ == news && lost && lost())
        give_up();
      continue;
    }
    Slot& slot = slots_[turn % slots_.size()];
    std::int64_t next = slot.next;
    const TaskRange units{slot.first, slot.last};
    if (begun_ != turn) // replaced while we looked, perhaps
      continue;
    if (next >= units.last) {
      begun_.compare_exchange_strong(turn, turn + 1);
      continue;
    }
    const TaskRange chunk =
        whole.resized(units.size(), workers).chunk_from(next - units.first, pace);
    if (!slot.next.compare_exchange_strong(next, units.first + chunk.last))
      continue;
    if (share.turn != turn) // told once a super-chunk: a draw must not cost twice
      finish(share);
    share = {turn, share.units + chunk.size()};
    return TaskRange{units.first + chunk.first, units.first + chunk.last};
  }
}

void NodeQueue::finish(Share& share) noexcept {
  if (share.units == 0)
    return;
  done_[share.turn % counts] += share.units;
  done_in_all_ += std::exchange(share.units, 0);
}

std::int64_t NodeQueue::left() const noexcept {
  std::int64_t left = 0;
  for (std::uint32_t turn = begun_; turn != granted_; ++turn) {
    const Slot& slot = slots_[turn % slots_.size()];
    left += std::max(slot.last - slot.next, std::int64_t{0});
  }
  return left;
}

void NodeQueue::grant(TaskRange units) noexcept {
  Slot& slot = slots_[granted_ % slots_.size()];
  slot.next = units.first;
  slot.first = units.first;
  slot.last = units.last;
  done_[granted_ % counts] = 0;
  ++granted_;
  tell();
}

void NodeQueue::end() noexcept {
  over_ = 1;
  tell();
}

void NodeQueue::give_up() noexcept {
  given_up_ = 1;
  end();
}

void NodeQueue::reset() noexcept {
  granted_ = begun_ = over_ = given_up_ = 0;
  done_in_all_ = 0;
  for (Slot& slot : slots_)
    slot.next = slot.first = slot.last = 0;
}

void NodeQueue::tell() noexcept {
  ++news_;
  wake(news_, asleep_);
}

} // namespace cleave
