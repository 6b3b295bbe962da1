#include "cleave/supply.hpp"

#include "waiting.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>

namespace cleave {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto longest_nap = std::chrono::milliseconds(1);
constexpr std::int64_t largest_piece = std::int64_t{1} << 18;
// What is left must last until a request and its answer have each been slept over, and a little.
constexpr double reserve_ns = 3e6;
constexpr double shortest_ns = 2e6; // a super-chunk is worth its messages

std::int64_t now_ns() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

/// A conversation with another rank, in pieces that nobody waits for.
class Post {
public:
  Post(const Comm& comm, int peer)
      : piece_(static_cast<std::size_t>(std::min(largest_piece, comm.options().message_limit))),
        mail_(comm.mail(peer, static_cast<std::int64_t>(piece_.size()))) {}

  /// Sends a copy of `head`, then `body`, which must outlive sending.
  void send(std::span<const std::byte> head, std::span<const std::span<const std::byte>> body) {
    head_.assign(head.begin(), head.end());
    out_.emplace_back(head_);
    out_.insert(out_.end(), body.begin(), body.end());
  }
  /// Receives that many bytes next.
  void expect(std::span<std::byte> room) {
    if (!room.empty())
      in_.push_back(room);
  }
  [[nodiscard]] bool come() const noexcept { return in_.empty(); }
  /// Whether all that was sent has left this rank.
  [[nodiscard]] bool gone() { return out_.empty() && mail_->sent(); }
  /// Sends and receives what can be without waiting. @return whether anything moved
  bool move() {
    const bool sent = send_some();
    return receive_some() || sent;
  }

private:
  bool send_some() {
    if (out_.empty() || !mail_->sent())
      return false;
    std::size_t filled = 0;
    while (!out_.empty() && filled < piece_.size()) {
      std::span<const std::byte>& front = out_.front();
      const std::size_t count = std::min(front.size(), piece_.size() - filled);
      std::ranges::copy(front.first(count), piece_.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += count;
      front = front.subspan(count);
      if (front.empty())
        out_.pop_front();
    }
    return filled > 0 && mail_->try_send(std::span(piece_).first(filled));
  }

  bool receive_some() {
    bool moved = false;
    while (!in_.empty()) {
      if (unread_.empty()) {
        received_.resize(piece_.size());
        unread_ = std::span(received_).first(mail_->try_receive(received_));
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

  std::vector<std::byte> piece_;
  std::vector<std::byte> head_;
  std::deque<std::span<const std::byte>> out_;
  std::deque<std::span<std::byte>> in_;
  std::vector<std::byte> received_;
  std::span<const std::byte> unread_; // of received_
  std::unique_ptr<Mail> mail_;
};

std::span<std::byte> bytes_of(auto& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

} // namespace

/// Another node, as root sees it.
struct Supply::Asker {
  Asker(const Comm& comm, int node_number, int leader) : node(node_number), post(comm, leader) {
    post.expect(bytes_of(request));
  }
  int node;
  Post post;
  Request request;
  bool over = false; // it has been told so
};

Supply::Supply(const Comm& comm, std::vector<int> workers, const ChunkSequence& sequence,
               NodeQueue& queue, Now now)
    : comm_(comm), workers_(std::move(workers)), sequence_(sequence), queue_(queue),
      now_(std::move(now)), spin_(!comm.yields()), granted_(workers_.size()),
      rates_(workers_.size()) {
  for (int rank = 0; rank < comm_.size(); ++rank)
    if (std::cmp_equal(comm_.node_of(rank),
                       leaders_.size())) // nodes are numbered as ranks see them
      leaders_.push_back(rank);
}

void Supply::bring(std::span<const std::byte> root, std::span<std::byte> node,
                   std::int64_t element_bytes, PartOf part_of) {
  brings_.push_back(
      {root, node, element_bytes, std::move(part_of), std::vector<std::int64_t>(workers_.size())});
}

void Supply::run() {
  try {
    if (comm_.is_root())
      serve();
    else
      ask();
  } catch (...) {
    queue_.end();
    throw;
  }
}

/// Calls work(naps) until it says that all is done; it restarts the naps where something moved.
template <class Work>
void Supply::until(Work work) const {
  const ExactNaps exactly;
  for (Naps naps(longest_nap); !work(naps);) {
    if (spin_ && naps.awake()) {
      pause();
      continue;
    }
    std::this_thread::sleep_until(naps.next());
    if (const auto gone = comm_.left())
      throw *gone;
  }
}

void Supply::ask() {
  Post post(comm_, 0);
  Request request;
  std::vector<std::int64_t> head(2 + 2 * brings_.size());
  enum class State : std::uint8_t { idle, head, body } state = State::idle;
  until([&](Naps& naps) {
    if (state == State::idle && due()) {
      request = this->request();
      post.send(bytes_of(request), {});
      post.expect(std::as_writable_bytes(std::span(head)));
      state = State::head;
    }
    if (post.move())
      naps.restart();
    if (state == State::head && post.come()) {
      for (std::size_t b = 0; b < brings_.size(); ++b)
        post.expect(brings_[b].node.subspan(static_cast<std::size_t>(head[2 + 2 * b]),
                                            static_cast<std::size_t>(head[3 + 2 * b])));
      state = State::body;
    }
    if (state == State::body && post.come()) {
      take({head[0], head[1]});
      state = State::idle;
    }
    return over_ && post.gone();
  });
}

void Supply::serve() {
  std::deque<Asker> askers;
  for (int node = 0; node < comm_.nodes(); ++node)
    if (node != comm_.node())
      askers.emplace_back(comm_, node, leader_of(node));
  until([&](Naps& naps) {
    bool moved = serve_own();
    for (Asker& asker : askers)
      moved = serve(asker) || moved;
    if (moved)
      naps.restart();
    return over_ && std::ranges::all_of(
                        askers, [](Asker& asker) { return asker.over && asker.post.gone(); });
  });
}

/// Answers a node that asks. @return whether anything moved
bool Supply::serve(Asker& asker) {
  if (!asker.post.move())
    return false;
  if (asker.over || !asker.post.come())
    return true;
  const TaskRange units = next_for(asker.node, asker.request);
  std::vector<std::int64_t> head = {units.first, units.last};
  std::vector<std::span<const std::byte>> body;
  for (Bring& bring : brings_) {
    const Stretch stretch = next_stretch(bring, asker.node, units);
    head.push_back(static_cast<std::int64_t>(stretch.first));
    head.push_back(static_cast<std::int64_t>(stretch.count));
    if (stretch.count > 0)
      body.push_back(bring.root.subspan(stretch.first, stretch.count));
  }
  asker.post.send(std::as_bytes(std::span(head)), body);
  asker.over = units.empty();
  if (!asker.over)
    asker.post.expect(bytes_of(asker.request));
  return true;
}

/// Root's own node gets super-chunks like the others, but for the messages.
bool Supply::serve_own() {
  if (!due())
    return false;
  const TaskRange units = next_for(comm_.node(), request());
  for (Bring& bring : brings_) {
    const Stretch stretch = next_stretch(bring, comm_.node(), units);
    if (!bring.node.empty())
      std::ranges::copy(bring.root.subspan(stretch.first, stretch.count),
                        bring.node.subspan(stretch.first).begin());
  }
  take(units);
  return true;
}

/// Half of the node's share of what is left (factoring over nodes: Flynn Hummel, Schonberg & Flynn
/// 1992), but as much as is worth the messages. Shares are those of the rates at which nodes draw,
/// where all are known, else of their workers.
TaskRange Supply::next_for(int node, const Request& request) {
  const auto at = static_cast<std::size_t>(node);
  if (request.stopped != 0) // one failure ends the call on every node
    now_.stop();
  if (now_.stopped())
    next_ = sequence_.tasks();
  rates_[at] = request.rate;
  const bool all_known = std::ranges::all_of(rates_, [](double rate) { return rate > 0; });
  const double share =
      all_known ? rates_[at] / std::reduce(rates_.begin(), rates_.end())
                : static_cast<double>(workers_[at]) / std::reduce(workers_.begin(), workers_.end());
  const std::int64_t left = sequence_.tasks() - next_;
  const double wanted = std::max(static_cast<double>(left) * share / 2, request.rate * shortest_ns);
  const std::int64_t size =
      wanted >= static_cast<double>(left)
          ? left
          : std::clamp(static_cast<std::int64_t>(wanted), std::int64_t{1}, left);
  const TaskRange units{next_, next_ + size};
  next_ = units.last;
  if (node != comm_.node() && !units.empty())
    granted_[at].push_back(units);
  return units;
}

/// This node gets units, or learns that there are no more.
void Supply::take(TaskRange units) {
  if (units.empty()) {
    over_ = true;
    return queue_.end();
  }
  if (taken_ == 0)
    since_ns_ = now_ns();
  taken_ += units.size();
  granted_[static_cast<std::size_t>(comm_.node())].push_back(units);
  queue_.grant(units);
}

/// Whether it is time for the next super-chunk. Asked earlier, factoring would lose its balance.
bool Supply::due() const {
  if (over_ || !queue_.has_room())
    return false;
  const std::int64_t left = queue_.left();
  return left == 0 || static_cast<double>(left) < request().rate * reserve_ns || now_.stopped();
}

Supply::Request Supply::request() const {
  Request request;
  const auto spent = static_cast<double>(now_ns() - since_ns_);
  if (taken_ > 0 && spent > 0)
    request.rate = static_cast<double>(now_.done()) / spent;
  request.stopped = now_.stopped() ? 1 : 0;
  return request;
}

/// What a node needs for units and has not: parts may overlap, such as rows with their neighbours,
/// and what is there may be in use.
Supply::Stretch Supply::next_stretch(Bring& bring, int node, TaskRange units) {
  if (units.empty())
    return {};
  const Part part = bring.part_of(units);
  std::int64_t& reached = bring.reached[static_cast<std::size_t>(node)];
  const std::int64_t end = part.first + part.count;
  const std::int64_t first = std::clamp(reached, part.first, end);
  reached = std::max(reached, end);
  return {static_cast<std::uint64_t>(first * bring.element_bytes),
          static_cast<std::uint64_t>((end - first) * bring.element_bytes)};
}

} // namespace cleave
