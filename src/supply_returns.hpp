/// @file
/// Results on their way from a node to root's arrays, while its workers go on.
#pragma once

#include "cleave/supply.hpp"
#include "supply_post.hpp"

#include <cstdint>
#include <deque>
#include <vector>

namespace cleave {

/// At the leader of another node than root's.
class ReturnsOut {
public:
  /// @param arrays as they are on this node; outlives this
  ReturnsOut(const Comm& comm, const std::vector<ReturnedArray>& arrays);

  /// The tasks of these chunks are done: their results leave.
  void add(std::span<const TaskRange> chunks);
  /// Nothing more comes. @param forget also what has not left: nobody wants it any more
  void end(bool forget);
  /// Whether root has said that it wants no more.
  [[nodiscard]] bool forgotten() const noexcept { return forgotten_; }
  /// Sends what can be sent without waiting. @return whether anything moved
  bool move();
  /// Whether nothing waits to be sent.
  [[nodiscard]] bool idle() { return waiting_.empty() && post_.gone(); }
  /// Whether all has left, and root knows.
  [[nodiscard]] bool arrived() { return ended_ && post_.come() && post_.gone(); }

private:
  void send_some();

  const std::vector<ReturnedArray>& arrays_;
  Post post_;
  std::byte receipt_{};
  std::deque<Stretch> waiting_;
  bool ends_ = false;  // nothing is added any more
  bool ended_ = false; // root is told so
  bool forgotten_ = false;
};

/// At root, of one other node.
class ReturnsIn {
public:
  /// @param arrays as they are at root; outlives this
  ReturnsIn(const Comm& comm, const std::vector<ReturnedArray>& arrays, int leader);

  /// Nobody wants what has not come.
  void forget();
  /// Receives what has come. @return whether anything moved
  /// @throws Error lost_peer for what no node sends
  bool move();
  /// Whether all has come, and the node knows.
  [[nodiscard]] bool arrived() { return ended_ && post_.gone(); }

private:
  void take();
  [[nodiscard]] std::span<std::byte> room_for(const Stretch& stretch) const;

  const std::vector<ReturnedArray>& arrays_;
  Post post_;
  std::size_t count_ = 0; // of the stretches that come next
  std::vector<Stretch> stretches_;
  enum class State : std::uint8_t { count, stretches, bytes } state_ = State::count;
  bool ended_ = false;
  bool receipt_sent_ = false;
};

} // namespace cleave
