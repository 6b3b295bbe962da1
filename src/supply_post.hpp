/// @file
/// A conversation of two ranks, in pieces that nobody waits for: requests and grants, or results.
#pragma once

#include "cleave/comm.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

namespace cleave {

std::span<std::byte> bytes_of(auto& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

/// A stretch of one of several arrays, in bytes.
struct Stretch {
  std::size_t array = 0;
  std::size_t first = 0;
  std::size_t count = 0;
  [[nodiscard]] std::size_t end() const noexcept { return first + count; }
  [[nodiscard]] auto of(auto bytes) const { return bytes.subspan(first, count); }
};

/// One end of the conversation; the other rank has its own.
class Post {
public:
  enum About : std::uint8_t { grants, results };
  /// @param about one conversation of two ranks at a time is about the same
  Post(const Comm& comm, int peer, About about);

  /// Sends a copy of the parts of `head`, then `body`, which must outlive sending.
  /// @pre gone(), or nothing of a head is left to be sent
  void send(std::initializer_list<std::span<const std::byte>> head,
            std::span<const std::span<const std::byte>> body);
  /// Receives that many bytes next.
  void expect(std::span<std::byte> room);
  [[nodiscard]] bool come() const noexcept { return in_.empty(); }
  /// Whether all that was sent has left this rank.
  [[nodiscard]] bool gone() { return out_.empty() && mail_->sent(); }
  /// Sends and receives what can be without waiting. @return whether anything moved
  bool move();

private:
  bool send_some();
  bool receive_some();

  std::size_t piece_bytes_;
  std::vector<std::byte> piece_;
  std::vector<std::byte> head_;
  std::deque<std::span<const std::byte>> out_;
  std::deque<std::span<std::byte>> in_;
  std::unique_ptr<std::byte[]> received_; // piece_bytes_, as the largest piece
  std::span<const std::byte> unread_;     // of it
  std::unique_ptr<Mail> mail_;
};

} // namespace cleave
