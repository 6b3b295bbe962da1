/// @file
/// scatterv and gatherv: 64-bit counts, any displacements, bounded messages.
#include "cleave/comm.hpp"
#include "comm_messages.hpp"
#include "transport.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

namespace cleave {
namespace {

/// Walks the pieces of one rank as stretches of bytes of the root's array, none over `limit`.
template <class Visit>
void for_stretches(const Pieces& pieces, int rank, std::int64_t element_bytes, std::int64_t limit,
                   Visit visit) {
  const std::int64_t count = pieces.count(rank);
  for (std::int64_t k = 0; k < count; ++k) {
    const Part part = pieces.piece(rank, k);
    std::int64_t at = part.first * element_bytes;
    const std::int64_t end = at + part.count * element_bytes;
    for (; at < end; at += limit)
      visit(static_cast<std::size_t>(at), static_cast<std::size_t>(std::min(limit, end - at)));
  }
}

/// Collects small stretches into messages of up to `limit` bytes; large ones go as they lie.
class MessageMaker {
public:
  MessageMaker(std::int64_t limit, std::function<void(std::span<const std::byte>)> pass)
      : limit_(static_cast<std::size_t>(limit)), pass_(std::move(pass)) {}
  void add(std::span<const std::byte> bytes) {
    if (held_.size() + bytes.size() > limit_)
      flush();
    if (2 * bytes.size() >= limit_ && held_.empty())
      return pass_(bytes);
    held_.insert(held_.end(), bytes.begin(), bytes.end());
  }
  void flush() {
    if (!held_.empty())
      pass_(held_);
    held_.clear();
  }

private:
  std::size_t limit_;
  std::function<void(std::span<const std::byte>)> pass_;
  std::vector<std::byte> held_;
};

/// The sizes of the messages that a MessageMaker would pass on for these stretches, so that the
/// other side can follow without being told.
class MessageSizes {
public:
  MessageSizes(std::int64_t limit, std::function<void(std::size_t)> pass)
      : limit_(static_cast<std::size_t>(limit)), pass_(std::move(pass)) {}
  void add(std::size_t bytes) {
    if (held_ + bytes > limit_)
      flush();
    if (2 * bytes >= limit_ && held_ == 0)
      return pass_(bytes);
    held_ += bytes;
  }
  void flush() {
    if (held_ > 0)
      pass_(held_);
    held_ = 0;
  }

private:
  std::size_t limit_;
  std::function<void(std::size_t)> pass_;
  std::size_t held_ = 0;
};

/// Refuses pieces outside root's array, on every rank alike.
void check_pieces(const Comm& comm, std::span<const std::byte> all, const Pieces& pieces,
                  std::span<const std::byte> mine, std::int64_t element_bytes, int root) {
  const auto held = static_cast<std::int64_t>(all.size()) / element_bytes;
  bool good = true;
  std::int64_t own = 0;
  const bool at_root = comm.rank() == root;
  for (int r = at_root ? 0 : comm.rank(); r < (at_root ? comm.size() : comm.rank() + 1); ++r)
    for (std::int64_t k = 0; k < pieces.count(r); ++k) {
      const Part part = pieces.piece(r, k);
      own += r == comm.rank() ? part.count : 0;
      good =
          good && part.count >= 0 &&
          (!at_root || (part.first >= 0 && part.first <= held && part.count <= held - part.first));
    }
  good = good && own * element_bytes == static_cast<std::int64_t>(mine.size());
  if (comm.agree({good ? 0U : 1U}).highest[0] != 0)
    throw Error(ErrorKind::bad_input, "a part of scatterv or gatherv lies outside the root's array "
                                      "or does not fit the rank's own");
}

} // namespace

void Comm::scatter_pieces(std::span<const std::byte> all, const Pieces& pieces,
                          std::span<std::byte> mine, std::int64_t element_bytes, int root) const {
  check_pieces(*this, all, pieces, mine, element_bytes, root);
  const std::int64_t limit = options().message_limit;
  if (rank() != root) {
    std::size_t at = 0;
    MessageSizes follow(limit, [&](std::size_t bytes) {
      transport_->receive(mine.subspan(at, bytes), root);
      at += bytes;
    });
    for_stretches(pieces, rank(), element_bytes, limit,
                  [&](std::size_t, std::size_t bytes) { follow.add(bytes); });
    return follow.flush();
  }
  for (int r = 0; r < size(); ++r) {
    if (r == root)
      continue;
    MessageMaker packer(limit,
                        [&](std::span<const std::byte> message) { transport_->send(message, r); });
    for_stretches(pieces, r, element_bytes, limit, [&](std::size_t first, std::size_t bytes) {
      packer.add(all.subspan(first, bytes));
    });
    packer.flush();
  }
  std::size_t at = 0;
  for_stretches(pieces, root, element_bytes, limit, [&](std::size_t first, std::size_t bytes) {
    std::memmove(mine.data() + at, all.data() + first, bytes);
    at += bytes;
  });
}

void Comm::receive_pieces(const Pieces& pieces, std::span<std::byte> all,
                          std::int64_t element_bytes, int rank) const {
  const std::int64_t limit = options().message_limit;
  std::vector<std::byte> message;
  std::deque<std::span<std::byte>> places; // of stretches still to come
  MessageSizes follow(limit, [&](std::size_t bytes) {
    if (places.front().size() == bytes) {
      transport_->receive(places.front(), rank);
      return places.pop_front();
    }
    message.resize(bytes);
    transport_->receive(message, rank);
    for (std::size_t from = 0; from < bytes; places.pop_front()) {
      std::memcpy(places.front().data(), message.data() + from, places.front().size());
      from += places.front().size();
    }
  });
  for_stretches(pieces, rank, element_bytes, limit, [&](std::size_t first, std::size_t bytes) {
    places.push_back(all.subspan(first, bytes));
    follow.add(bytes);
  });
  follow.flush();
}

void Comm::gather_pieces(std::span<const std::byte> mine, const Pieces& pieces,
                         std::span<std::byte> all, std::int64_t element_bytes, int root) const {
  check_pieces(*this, all, pieces, mine, element_bytes, root);
  const std::int64_t limit = options().message_limit;
  std::size_t at = 0;
  if (rank() != root) {
    MessageMaker packer(
        limit, [&](std::span<const std::byte> message) { transport_->send(message, root); });
    for_stretches(pieces, rank(), element_bytes, limit, [&](std::size_t, std::size_t bytes) {
      packer.add(mine.subspan(at, bytes));
      at += bytes;
    });
    return packer.flush();
  }
  for_stretches(pieces, root, element_bytes, limit, [&](std::size_t first, std::size_t bytes) {
    std::memmove(all.data() + first, mine.data() + at, bytes);
    at += bytes;
  });
  for (int r = 0; r < size(); ++r)
    if (r != root)
      receive_pieces(pieces, all, element_bytes, r);
}

std::vector<std::byte> Comm::scatter_blobs(const std::function<std::vector<std::byte>(int)>& blob,
                                           int root) const {
  barrier();
  const std::int64_t limit = options().message_limit;
  std::vector<std::byte> mine;
  if (rank() != root) {
    std::uint64_t length = 0;
    transport_->receive(std::as_writable_bytes(std::span(&length, 1)), root);
    mine.resize(length);
    in_messages(std::span(mine), limit,
                [&](std::span<std::byte> message) { transport_->receive(message, root); });
    return mine;
  }
  for (int r = 0; r < size(); ++r) {
    if (r == root)
      continue;
    const std::vector<std::byte> theirs = blob(r);
    const std::uint64_t length = theirs.size();
    transport_->send(std::as_bytes(std::span(&length, 1)), r);
    in_messages(std::span(theirs), limit,
                [&](std::span<const std::byte> message) { transport_->send(message, r); });
  }
  return mine;
}

void Comm::gather_blobs(std::span<const std::byte> mine,
                        const std::function<void(int, std::vector<std::byte>)>& take,
                        int root) const {
  const std::vector<std::uint64_t> sizes = all_gather(std::uint64_t{mine.size()});
  const std::int64_t limit = options().message_limit;
  if (rank() != root)
    return in_messages(
        mine, limit, [&](std::span<const std::byte> message) { transport_->send(message, root); });
  for (int r = 0; r < size(); ++r) {
    if (r == root)
      continue;
    std::vector<std::byte> theirs(sizes[static_cast<std::size_t>(r)]);
    in_messages(std::span(theirs), limit,
                [&](std::span<std::byte> message) { transport_->receive(message, r); });
    take(r, std::move(theirs));
  }
}

} // namespace cleave
