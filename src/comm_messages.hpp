/// @file
/// Bytes that are longer than a message may be.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cleave {

/// Hands bytes over in messages of at most `limit` bytes.
template <class Byte, class Pass>
void in_messages(std::span<Byte> bytes, std::int64_t limit, Pass pass) {
  const auto most = static_cast<std::size_t>(limit);
  for (std::size_t at = 0; at < bytes.size(); at += most)
    pass(bytes.subspan(at, std::min(most, bytes.size() - at)));
}

} // namespace cleave
