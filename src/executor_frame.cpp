#include "executor_frame.hpp"

#include "cleave/fresh.hpp"

#include <new>
#include <stdexcept>
#include <utility>

namespace cleave::detail {

bool FrameWriter::flush(Ring& ring) {
  while (!frames_.empty()) {
    const Frame& frame = frames_.front();
    const auto header = std::as_bytes(std::span(&frame.header, 1));
    if (written_ < header.size())
      written_ += ring.write(header.subspan(written_));
    if (written_ >= header.size())
      written_ += ring.write(std::span(frame.payload).subspan(written_ - header.size()));
    if (written_ < header.size() + frame.payload.size())
      return false;
    frames_.pop_front();
    written_ = 0;
  }
  return true;
}

std::optional<Frame> FrameReader::read(Ring& ring) {
  const auto header = std::as_writable_bytes(std::span(&frame_.header, 1));
  if (read_ < header.size()) {
    read_ += ring.read(header.subspan(read_));
    if (read_ < header.size())
      return std::nullopt;
    make_room();
  }
  read_payload(ring);
  if (read_ < header.size() + frame_.header.bytes)
    return std::nullopt;
  read_ = 0;
  return std::exchange(frame_, {});
}

/// Who has no memory for a payload reads on without keeping it, so that the next frame is found.
void FrameReader::make_room() {
  try {
    frame_.payload.reserve(frame_.header.bytes);
    advise_huge(frame_.payload.data(), frame_.header.bytes);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
}

void FrameReader::read_payload(Ring& ring) {
  const std::uint64_t whole = sizeof(Frame::Header) + frame_.header.bytes;
  const bool kept = frame_.payload.capacity() >= frame_.header.bytes;
  for (int half = 0; half < 2; ++half) { // what has come may lie at the ring's end and beginning
    const std::span<const std::byte> piece = ring.front(whole - read_);
    if (kept)
      frame_.payload.insert(frame_.payload.end(), piece.begin(), piece.end());
    ring.consume(piece.size());
    read_ += piece.size();
  }
}

} // namespace cleave::detail
