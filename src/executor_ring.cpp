#include "executor_ring.hpp"

#include <algorithm>
#include <cstring>

namespace cleave::detail {

std::size_t Ring::ask_room() noexcept {
  if (const std::size_t free = room(); free > 0)
    return free;
  control_->crowded.store(1);
  return room(); // what was read before the reader could see that we ask
}

std::size_t Ring::write(std::span<const std::byte> from) noexcept {
  const std::size_t count = std::min(from.size(), room());
  if (count == 0)
    return 0;
  if (control_->crowded.load() != 0)
    control_->crowded.store(0);
  const std::uint64_t written = control_->written.load();
  const std::size_t at = written & (bytes_.size() - 1);
  const std::size_t straight = std::min(count, bytes_.size() - at);
  std::memcpy(bytes_.data() + at, from.data(), straight);
  std::memcpy(bytes_.data(), from.data() + straight, count - straight);
  control_->written.store(written + count);
  rouse();
  return count;
}

void Ring::rouse() noexcept {
  woke_ = reader_->ring() || woke_;
}

std::size_t Ring::read(std::span<std::byte> to) noexcept {
  std::size_t count = 0;
  while (count < to.size()) { // twice, at the ring's end
    const std::span<const std::byte> piece = front(to.size() - count);
    if (piece.empty())
      break;
    std::memcpy(to.data() + count, piece.data(), piece.size());
    consume(piece.size());
    count += piece.size();
  }
  return count;
}

std::span<const std::byte> Ring::front(std::size_t most) const noexcept {
  const std::size_t at = control_->read.load() & (bytes_.size() - 1);
  return bytes_.subspan(at, std::min({most, filled(), bytes_.size() - at}));
}

std::span<const std::byte> Ring::whole_front(std::span<std::byte> room) const noexcept {
  const std::size_t count = std::min(room.size(), filled()); // once: the writer goes on
  const std::span<const std::byte> straight = front(count);
  if (straight.size() == count)
    return straight;
  std::memcpy(room.data(), straight.data(), straight.size());
  std::memcpy(room.data() + straight.size(), bytes_.data(), count - straight.size());
  return room.first(count);
}

void Ring::consume(std::size_t bytes) noexcept {
  control_->read.store(control_->read.load() + bytes);
  // Left for the writer to clear: clearing it here could undo what the writer asks anew.
  if (control_->crowded.load() != 0)
    writer_->ring();
}

} // namespace cleave::detail
