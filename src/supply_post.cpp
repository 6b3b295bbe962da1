#include "supply_post.hpp"

#include <algorithm>

namespace cleave {
namespace {

constexpr std::int64_t largest_piece = std::int64_t{1} << 18;
constexpr std::int64_t smallest_piece = std::int64_t{1} << 12;
constexpr std::int64_t all_pieces = std::int64_t{1} << 24; // root has a few of every node

std::size_t piece_bytes_of(const Comm& comm) {
  const std::int64_t share = std::clamp(all_pieces / comm.nodes(), smallest_piece, largest_piece);
  return static_cast<std::size_t>(std::min(share, comm.options().message_limit));
}

} // namespace

Post::Post(const Comm& comm, int peer, About about)
    : piece_bytes_(piece_bytes_of(comm)),
      received_(std::make_unique_for_overwrite<std::byte[]>(piece_bytes_)),
      mail_(comm.mail(peer, static_cast<std::int64_t>(piece_bytes_), about)) {}

void Post::send(std::initializer_list<std::span<const std::byte>> head,
                std::span<const std::span<const std::byte>> body) {
  head_.clear();
  for (const std::span<const std::byte> part : head)
    head_.insert(head_.end(), part.begin(), part.end());
  out_.emplace_back(head_);
  out_.insert(out_.end(), body.begin(), body.end());
}

void Post::expect(std::span<std::byte> room) {
  if (!room.empty())
    in_.push_back(room);
}

bool Post::move() {
  const bool sent = send_some();
  return receive_some() || sent;
}

bool Post::send_some() {
  if (out_.empty() || !mail_->sent())
    return false;
  piece_.clear();
  while (!out_.empty() && piece_.size() < piece_bytes_) {
    std::span<const std::byte>& front = out_.front();
    const std::size_t count = std::min(front.size(), piece_bytes_ - piece_.size());
    piece_.insert(piece_.end(), front.begin(), front.begin() + static_cast<std::ptrdiff_t>(count));
    front = front.subspan(count);
    if (front.empty())
      out_.pop_front();
  }
  return !piece_.empty() && mail_->try_send(piece_);
}

bool Post::receive_some() {
  bool moved = false;
  while (!in_.empty()) {
    if (unread_.empty()) {
      const std::span<std::byte> room(received_.get(), piece_bytes_);
      unread_ = room.first(mail_->try_receive(room));
    }
    if (unread_.empty())
      break;
    std::span<std::byte>& front = in_.front();
    const std::size_t count = std::min(front.size(), unread_.size());
    std::ranges::copy(unread_.first(count), front.begin());
    unread_ = unread_.subspan(count);
    front = front.subspan(count);
    if (front.empty())
      in_.pop_front();
    moved = true;
  }
  return moved;
}

} // namespace cleave
