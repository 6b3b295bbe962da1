#include "supply_returns.hpp"

#include "cleave/error.hpp"

#include <algorithm>

namespace cleave {
namespace {

// What is sent at once, and hence what a call that has failed waits for at most.
constexpr std::size_t most_bytes = std::size_t{1} << 20;
constexpr std::size_t most_stretches = 1024;

/// A node that has ended meanwhile may have left anything in a message.
[[noreturn]] void refuse() {
  throw Error(ErrorKind::lost_peer, "results came in pieces from a node as none sends them");
}

} // namespace

ReturnsOut::ReturnsOut(const Comm& comm, const std::vector<ReturnedArray>& arrays)
    : arrays_(arrays), post_(comm, 0, Post::results) {
  post_.expect(bytes_of(receipt_));
}

void ReturnsOut::add(std::span<const TaskRange> chunks) {
  for (std::size_t a = 0; !ends_ && a < arrays_.size(); ++a)
    for (const TaskRange chunk : chunks) {
      const auto bytes = static_cast<std::size_t>(arrays_[a].element_bytes);
      const Part part = arrays_[a].part_of(chunk);
      const Stretch next{a, static_cast<std::size_t>(part.first) * bytes,
                         static_cast<std::size_t>(part.count) * bytes};
      if (next.count == 0)
        continue;
      if (!waiting_.empty() && waiting_.back().array == a && waiting_.back().end() == next.first)
        waiting_.back().count += next.count;
      else
        waiting_.push_back(next);
    }
}

void ReturnsOut::end(bool forget) {
  ends_ = true;
  if (forget)
    waiting_.clear();
}

bool ReturnsOut::move() {
  if (!ended_ && post_.come()) { // the receipt, before its time
    forgotten_ = true;
    end(true);
  }
  if (!ended_ && (ends_ || !waiting_.empty()) && post_.gone())
    send_some();
  return post_.move();
}

/// The next of what waits, or that nothing more comes.
void ReturnsOut::send_some() {
  std::vector<Stretch> stretches;
  std::vector<std::span<const std::byte>> body;
  for (std::size_t room = most_bytes;
       room > 0 && !waiting_.empty() && stretches.size() < most_stretches;) {
    Stretch& front = waiting_.front();
    const std::size_t count = std::min(front.count, room);
    stretches.push_back({front.array, front.first, count});
    body.push_back(stretches.back().of(arrays_[front.array].node));
    front.first += count;
    front.count -= count;
    room -= count;
    if (front.count == 0)
      waiting_.pop_front();
  }
  ended_ = stretches.empty();
  const std::size_t number = stretches.size();
  post_.send({std::as_bytes(std::span(&number, 1)), std::as_bytes(std::span(stretches))}, body);
}

ReturnsIn::ReturnsIn(const Comm& comm, const std::vector<ReturnedArray>& arrays, int leader)
    : arrays_(arrays), post_(comm, leader, Post::results) {
  post_.expect(bytes_of(count_));
}

void ReturnsIn::forget() {
  if (receipt_sent_)
    return;
  receipt_sent_ = true;
  const std::byte receipt{};
  post_.send({std::span(&receipt, 1)}, {});
}

bool ReturnsIn::move() {
  bool moved = false;
  // A message has three parts, which may come at once; the next message can wait.
  for (int part = 0; part < 3 && post_.move(); ++part) {
    moved = true;
    while (!ended_ && post_.come())
      take();
  }
  return moved;
}

std::span<std::byte> ReturnsIn::room_for(const Stretch& stretch) const {
  if (stretch.array >= arrays_.size())
    refuse();
  const std::span<std::byte> root = arrays_[stretch.array].root;
  if (stretch.first > root.size() || stretch.count > root.size() - stretch.first)
    refuse();
  return stretch.of(root);
}

void ReturnsIn::take() {
  if (state_ == State::count && count_ == 0) {
    ended_ = true;
    forget();
  } else if (state_ == State::count) {
    if (count_ > most_stretches)
      refuse();
    stretches_.resize(count_);
    post_.expect(std::as_writable_bytes(std::span(stretches_)));
    state_ = State::stretches;
  } else if (state_ == State::stretches) {
    for (const Stretch& stretch : stretches_)
      post_.expect(room_for(stretch));
    state_ = State::bytes;
  } else {
    post_.expect(bytes_of(count_));
    state_ = State::count;
  }
}

} // namespace cleave
