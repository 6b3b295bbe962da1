#include "executor_channels.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace cleave::detail {
namespace {

constexpr std::size_t largest_ring = 64 << 10;
constexpr std::size_t smallest_ring = 4 << 10;
constexpr std::size_t all_rings = 16 << 20; // at root, about: many ranks get smaller ones

std::size_t ring_bytes_for(int ranks) {
  return std::bit_floor(
      std::clamp(all_rings / static_cast<std::size_t>(ranks), smallest_ring, largest_ring));
}

} // namespace

Channels::Channels(const Comm& comm)
    : ring_bytes_(ring_bytes_for(comm.size())),
      piece_bytes_(
          std::min(ring_bytes_ / 2, static_cast<std::size_t>(comm.options().message_limit))),
      channels_(static_cast<std::size_t>(comm.size())), piece_(piece_bytes_) {
  share(comm);
  if (comm.node() != comm.node_of(0))
    carry_to(comm, 0);
  for (int r = 1; r < comm.size() && comm.is_root(); ++r)
    if (comm.node_of(r) != comm.node())
      carry_to(comm, r);
}

/// Root's node: the bell, then a channel for each rank.
void Channels::share(const Comm& comm) {
  const bool with_root = comm.node() == comm.node_of(0);
  const std::size_t channel_bytes = 2 * (sizeof(Ring::Control) + ring_bytes_);
  const std::vector<int>& ranks = comm.node_ranks();
  window_ = comm.window(
      with_root ? static_cast<std::int64_t>(sizeof(Bell) + ranks.size() * channel_bytes) : 0);
  const bool missing = with_root && window_.bytes().empty();
  if (comm.agree({missing ? 1U : 0U}).highest[0] != 0)
    throw Error(ErrorKind::io, "no room for memory shared by the ranks of root's node");
  if (!with_root)
    return;
  bell_ = reinterpret_cast<Bell*>(window_.bytes().data());
  for (std::size_t place = 0; place < ranks.size(); ++place)
    of(ranks[place]) =
        channel_in(window_.bytes().subspan(sizeof(Bell) + place * channel_bytes, channel_bytes),
                   {.root = bell_, .rank = nullptr});
}

/// A channel to a rank of another node: at root `rank`, elsewhere this rank's own.
void Channels::carry_to(const Comm& comm, int rank) {
  if (bell_ == nullptr)
    bell_ = reinterpret_cast<Bell*>(own_memory(sizeof(Bell)).data());
  Channel& channel = of(comm.is_root() ? rank : comm.rank());
  channel = channel_in(own_memory(2 * (sizeof(Ring::Control) + ring_bytes_)),
                       comm.is_root() ? Bells{.root = bell_, .rank = &nobody_}
                                      : Bells{.root = &nobody_, .rank = nullptr});
  auto mail = comm.mail(rank, static_cast<std::int64_t>(piece_bytes_));
  if (comm.is_root())
    couriers_.push_back({&channel.to_rank, &channel.to_root, std::move(mail)});
  else
    couriers_.push_back({&channel.to_root, &channel.to_rank, std::move(mail)});
}

std::span<std::byte> Channels::own_memory(std::size_t bytes) {
  const std::size_t lines = (bytes + sizeof(Line) - 1) / sizeof(Line);
  return std::as_writable_bytes(std::span(own_memory_.emplace_back(lines))).first(bytes);
}

Channel Channels::channel_in(std::span<std::byte> memory, const Bells& bells) const {
  const std::size_t half = memory.size() / 2;
  const auto control_at = [&](std::size_t at) -> Ring::Control& {
    return *reinterpret_cast<Ring::Control*>(memory.data() + at);
  };
  Ring::Control& down = control_at(0);
  Ring::Control& up = control_at(half);
  const auto bytes_at = [&](std::size_t at) {
    return memory.subspan(at + sizeof(Ring::Control), ring_bytes_);
  };
  const auto rank_bell = [&bells](Ring::Control& control) -> Bell& {
    return bells.rank != nullptr ? *bells.rank : control.bell;
  };
  return {Ring(down, bytes_at(0), rank_bell(down), *bells.root),
          Ring(up, bytes_at(half), *bells.root, rank_bell(up))};
}

bool Channels::carry(Ways ways) {
  if (couriers_.empty())
    return false;
  const std::lock_guard lock(carrying_);
  bool moved = false;
  for (Courier& courier : couriers_) {
    moved = send(courier) || moved;
    moved = (ways == Ways::both && receive(courier)) || moved;
  }
  return moved;
}

bool Channels::send(Courier& courier) {
  const auto piece = courier.outward->whole_front(piece_);
  if (piece.empty() || !courier.mail->try_send(piece))
    return false;
  courier.outward->consume(piece.size());
  return true;
}

bool Channels::receive(Courier& courier) {
  if (courier.inward->room() < piece_bytes_)
    return false;
  const std::size_t come = courier.mail->try_receive(piece_);
  courier.inward->write(std::span(piece_).first(come));
  return come > 0;
}

bool Channels::carried() {
  const std::lock_guard lock(carrying_);
  return std::ranges::all_of(couriers_, [](Courier& courier) {
    return courier.outward->filled() == 0 && courier.mail->sent();
  });
}

} // namespace cleave::detail
