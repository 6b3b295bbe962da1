/// @file
/// The channels of one run: to every rank a ring from root and one back, in memory that both share
/// or, between nodes, in memory of either side's own, carried from one to the other by messages.
#pragma once

#include "cleave/comm.hpp"
#include "executor_ring.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace cleave::detail {

/// The two rings between root and a rank.
struct Channel {
  Ring to_rank;
  Ring to_root;
};

class Channels {
public:
  /// Between two looks for messages.
  static constexpr Clock::duration longest_nap = std::chrono::milliseconds(40);

  /// Collective. @throws Error io on every rank when the node's ranks have no room to share
  explicit Channels(const Comm& comm);
  Channels(const Channels&) = delete;
  Channels& operator=(const Channels&) = delete;

  /// At root: that of any other rank. Elsewhere: that of this rank.
  [[nodiscard]] Channel& of(int rank) { return channels_[static_cast<std::size_t>(rank)]; }
  /// Rung when something comes to root's ends of the rings; on other nodes at the end.
  [[nodiscard]] Bell& bell() noexcept { return *bell_; }

  /// Whether this rank must carry(): some channel leads to another node.
  [[nodiscard]] bool carries() const noexcept { return !couriers_.empty(); }
  /// How who waits for the other end sleeps: messages ring no bell.
  [[nodiscard]] Naps naps() const noexcept {
    return carries() ? Naps(longest_nap) : Naps(longest_sleep, longest_sleep);
  }
  /// Carries what can be carried without waiting, which rings for nobody at this end: who writes
  /// carries, and who waits. Thread-safe; nobody else calls MPI.
  /// @param ways outward: looks for nothing that has come, which is a call of MPI a rank
  /// @return whether anything moved
  enum class Ways : std::uint8_t { outward, both };
  bool carry(Ways ways = Ways::both);
  /// Whether all that this rank wrote has left it. Thread-safe.
  [[nodiscard]] bool carried();
  /// While it is held, nobody carries: no thread of this rank calls MPI.
  [[nodiscard]] std::unique_lock<std::mutex> hold() { return std::unique_lock(carrying_); }

private:
  /// Bytes that begin where cache lines do, pairs of which the prefetcher fetches.
  struct alignas(128) Line {
    std::array<std::byte, 128> bytes{};
  };
  struct Courier {
    Ring* outward;
    Ring* inward;
    std::unique_ptr<Mail> mail;
  };
  [[nodiscard]] std::span<std::byte> own_memory(std::size_t bytes);
  struct Bells { // of the two ends
    Bell* root;
    Bell* rank; // nothing: in the memory itself, one a ring
  };
  [[nodiscard]] Channel channel_in(std::span<std::byte> memory, const Bells& bells) const;
  void share(const Comm& comm);
  void carry_to(const Comm& comm, int rank);
  [[nodiscard]] bool send(Courier& courier);
  [[nodiscard]] bool receive(Courier& courier);

  std::size_t ring_bytes_;
  std::size_t piece_bytes_;
  NodeWindow window_;
  std::vector<std::vector<Line>> own_memory_;
  Bell* bell_ = nullptr;
  std::vector<Channel> channels_; // by rank
  Bell nobody_{};                 // at the couriers' ends of rings
  std::mutex carrying_;
  std::vector<Courier> couriers_;
  std::vector<std::byte> piece_;
};

} // namespace cleave::detail
