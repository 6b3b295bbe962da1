/// @file
/// What the Engines of a node share, one after the other in their memory: Shared, a Slot a rank, a
/// Gauge a worker, and for even and for odd calls a Lane a worker.
#pragma once

#include "cleave/engine.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace cleave::detail {

/// What the call is, but for its size.
inline std::size_t form_hash(const CallForm& form) {
  return form.type * 31 + std::hash<std::string_view>()(form.verb);
}

struct alignas(128) Engine::Shared {
  std::atomic<std::uint32_t> stop;      // number of the last call that failed
  std::atomic<std::int64_t> longest_ns; // that a worker has been without looking around
  std::array<NodeQueue, 2> queues; // of even and odd calls: one is cleared while the other is used
};

/// What one rank shows to its node.
struct alignas(128) Engine::Slot {
  struct Letter {
    std::uint64_t size;
    std::array<std::byte, 4080> bytes;
  };
  std::atomic<std::int64_t> done; // units of the current call
  std::array<Letter, 2> letters;  // of exchange(): who is slow may read the last one yet
};

/// What one worker shows to its node.
struct alignas(128) Engine::Gauge {
  std::atomic<std::uint32_t> call; // that `rate` is of
  std::atomic<float> rate;         // units a nanosecond
};

} // namespace cleave::detail
