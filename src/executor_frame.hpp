/// @file
/// What travels between root and a rank: a header and as many bytes as it says, written to a ring
/// and read from it as room and bytes come. Nothing here waits.
#pragma once

#include "executor_ring.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace cleave::detail {

/// To a rank: arguments of a task. To root: its result, or what it threw.
struct Frame {
  struct Header {
    std::uint64_t bytes = 0; ///< of the payload
    std::int64_t task = 0;
    std::uint32_t word = 0;  ///< to a rank: the function's number, or last_order; to root: a Status
    std::int32_t thread = 0; ///< that ran the task
    std::chrono::duration<double> timeout{0}; ///< to a rank: of the task; 0: none
  };
  enum Word : std::uint32_t { returned, threw, last_order = 0xffff'ffffU };

  Header header;
  std::vector<std::byte> payload;

  /// A frame whose payload found no memory where it arrived has none.
  [[nodiscard]] bool whole() const noexcept { return payload.size() == header.bytes; }
};

[[nodiscard]] inline Frame make_frame(std::int64_t task, std::uint32_t word,
                                      std::vector<std::byte> payload, int thread = 0) {
  return {{payload.size(), task, word, thread}, std::move(payload)};
}

/// Writes frames one after the other.
class FrameWriter {
public:
  void push(Frame frame) { frames_.push_back(std::move(frame)); }
  /// Writes what there is room for. @return whether nothing is left
  bool flush(Ring& ring);
  [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }

private:
  std::deque<Frame> frames_;
  std::size_t written_ = 0; // of the first, header and payload
};

/// Reads frames one after the other.
class FrameReader {
public:
  /// Reads what has come, about one ring at most. @return a frame once it is complete
  [[nodiscard]] std::optional<Frame> read(Ring& ring);

private:
  void make_room();
  void read_payload(Ring& ring);

  Frame frame_;
  std::uint64_t read_ = 0; // of the current frame, header and payload
};

} // namespace cleave::detail
