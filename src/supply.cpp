#include "cleave/supply.hpp"

#include "absence.hpp"
#include "waiting.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace cleave {
namespace {

using Clock = std::chrono::steady_clock;

// Naps that cost a worker's core under 2 % of it where each costs 30 us, as on virtual machines.
constexpr auto shortest_nap = std::chrono::microseconds(250); // while the node has work
constexpr auto longest_nap = std::chrono::milliseconds(2);
constexpr auto longest_idle = std::chrono::milliseconds(10); // between looks at who has left
constexpr std::int64_t largest_piece = std::int64_t{1} << 18;
// What is left must last until a request and its answer have each been slept over, and a little.
constexpr double reserve_ns = 4e6;
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

  /// Sends a copy of the parts of `head`, then `body`, which must outlive sending.
  void send(std::initializer_list<std::span<const std::byte>> head,
            std::span<const std::span<const std::byte>> body) {
    head_.clear();
    for (const std::span<const std::byte> part : head)
      head_.insert(head_.end(), part.begin(), part.end());
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

/// The one rank that this one waits for, now this and now that.
class Awaited {
public:
  explicit Awaited(const Comm& comm)
      : comm_(comm), absence_(comm.options(), rank_name(comm, comm.rank())) {}

  /// @param rank that is waited for now, while there is nothing else to do
  void look(std::optional<int> rank) {
    if (!rank || rank != rank_)
      since_ = Clock::now();
    rank_ = rank;
    if (rank)
      absence_.look(since_, [&] { return rank_name(comm_, *rank); });
  }

private:
  const Comm& comm_;
  Absence absence_;
  std::optional<int> rank_;
  Clock::time_point since_;
};

ChunkSequence one_by_one(std::int64_t n, std::int64_t workers) {
  return {n, workers, Schedule::parse("dynamic")};
}

} // namespace

std::vector<Part> Arrivals::add(const Part& part) {
  if (part.count == 0)
    return {};
  std::int64_t first = part.first;
  std::int64_t last = part.first + part.count;
  auto next = stretches_.upper_bound(first);
  if (next != stretches_.begin() && std::prev(next)->second >= first)
    --next;
  std::vector<Part> missing;
  std::int64_t at = first;
  for (; next != stretches_.end() && next->first <= last; next = stretches_.erase(next)) {
    if (at < next->first)
      missing.push_back({at, next->first - at});
    at = std::max(at, next->second);
    first = std::min(first, next->first);
    last = std::max(last, next->second);
  }
  if (at < last)
    missing.push_back({at, last - at});
  stretches_[first] = last;
  return missing;
}

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

Supply::Supply(const Comm& comm, std::vector<Node> nodes, const ChunkSequence& sequence,
               std::vector<TaskRange> list, NodeQueue& queue, Now now)
    : comm_(comm), nodes_(std::move(nodes)),
      sequence_(list.empty() ? sequence : one_by_one(std::ssize(list), sequence.workers())),
      list_(std::move(list)), queue_(queue), now_(std::move(now)), spin_(!comm.yields()),
      granted_(nodes_.size()), rates_(nodes_.size()) {
  for (int rank = 0; rank < comm_.size(); ++rank)
    if (std::cmp_equal(comm_.node_of(rank),
                       leaders_.size())) // nodes are numbered as ranks see them
      leaders_.push_back(rank);
}

void Supply::bring(std::span<const std::byte> root, std::span<std::byte> node,
                   std::int64_t element_bytes, PartOf part_of) {
  brings_.push_back(
      {root, node, element_bytes, std::move(part_of), std::vector<Arrivals>(nodes_.size())});
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

std::optional<TaskRange> Supply::draw(const Pace& pace) {
  const int workers = nodes_[static_cast<std::size_t>(comm_.node())].workers;
  auto chunk = queue_.draw(sequence_, workers, pace, spin_);
  if (chunk && !list_.empty())
    chunk = list_[static_cast<std::size_t>(chunk->first)];
  return chunk;
}

/// Calls work(naps) until it says that all is done; it restarts the naps where something moved.
/// @param idle for how long nothing will be to do
template <class Work, class Idle>
void Supply::until(Work work, Idle idle) const {
  const ExactNaps exactly;
  for (Naps naps(longest_nap); !work(naps);) {
    if (spin_ && naps.awake()) {
      pause();
      continue;
    }
    std::this_thread::sleep_until(std::max(naps.next(), Clock::now() + idle()));
    if (const auto gone = comm_.left())
      throw *gone;
  }
}

void Supply::ask() {
  Post post(comm_, 0);
  Request request;
  Grant grant;
  std::vector<Stretch> stretches;
  enum class State : std::uint8_t { idle, grant, stretches, body } state = State::idle;
  Awaited awaited(comm_);
  const auto step = [&](Naps& naps) {
    if (state == State::idle && due()) {
      request = this->request();
      post.send({bytes_of(request)}, {});
      post.expect(bytes_of(grant));
      state = State::grant;
    }
    if (post.move())
      naps.restart();
    if (state == State::grant && post.come()) {
      stretches.resize(grant.stretches);
      post.expect(std::as_writable_bytes(std::span(stretches)));
      state = State::stretches;
    }
    if (state == State::stretches && post.come()) {
      for (const Stretch& stretch : stretches)
        post.expect(stretch.of(brings_[stretch.bring].node));
      state = State::body;
    }
    if (state == State::body && post.come()) {
      take(grant.units);
      state = State::idle;
    }
    const bool waits = state != State::idle && queue_.left() == 0;
    awaited.look(waits ? std::optional(0) : std::nullopt);
    return over_ && post.gone();
  };
  until(step, [&] { return state == State::idle ? idle_time() : least_nap(); });
}

void Supply::serve() {
  std::deque<Asker> askers;
  for (int node = 0; node < comm_.nodes(); ++node)
    if (node != comm_.node())
      askers.emplace_back(comm_, node, leader_of(node));
  Awaited awaited(comm_);
  const auto step = [&](Naps& naps) {
    bool moved = serve_own();
    for (Asker& asker : askers)
      moved = serve(asker) || moved;
    if (moved)
      naps.restart();
    const auto waits_for = std::ranges::find_if(
        askers, [](Asker& asker) { return !asker.over || !asker.post.gone(); });
    const bool waits = over_ && waits_for != askers.end();
    awaited.look(waits ? std::optional(leader_of(waits_for->node)) : std::nullopt);
    return over_ && !waits;
  };
  until(step, [this] { return least_nap(); }); // others ask when they like
}

/// Answers a node that asks. @return whether anything moved
bool Supply::serve(Asker& asker) {
  if (!asker.post.move())
    return false;
  if (asker.over || !asker.post.come())
    return true;
  const TaskRange units = next_for(asker.node, asker.request);
  const std::vector<Stretch> stretches = missing(asker.node, units);
  const Grant grant{units, stretches.size()};
  std::vector<std::span<const std::byte>> body;
  for (const Stretch& stretch : stretches)
    body.push_back(stretch.of(brings_[stretch.bring].root));
  asker.post.send({std::as_bytes(std::span(&grant, 1)), std::as_bytes(std::span(stretches))}, body);
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
  for (const Stretch& stretch : missing(comm_.node(), units))
    if (const Bring& bring = brings_[stretch.bring]; !bring.node.empty())
      std::ranges::copy(stretch.of(bring.root), stretch.of(bring.node).begin());
  take(units);
  return true;
}

/// Half of the node's share of what is left (factoring over nodes: Flynn Hummel, Schonberg & Flynn
/// 1992), but as much as is worth the messages. Shares are those of the rates at which nodes draw,
/// where all are known, else what is known of their speed.
TaskRange Supply::next_for(int node, const Request& request) {
  const auto at = static_cast<std::size_t>(node);
  if (request.stopped != 0) // one failure ends the call on every node
    now_.stop();
  if (now_.stopped())
    next_ = sequence_.tasks();
  rates_[at] = request.rate;
  const bool all_known = std::ranges::all_of(rates_, [](double rate) { return rate > 0; });
  const auto speed = [&](std::size_t n) { return all_known ? rates_[n] : nodes_[n].speed; };
  double all = 0;
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    all += speed(n);
  const double share = speed(at) / all;
  const std::int64_t left = sequence_.tasks() - next_;
  const double wanted = std::max(static_cast<double>(left) * share / 2, request.rate * shortest_ns);
  const std::int64_t size =
      wanted >= static_cast<double>(left)
          ? left
          : std::clamp(static_cast<std::int64_t>(wanted), std::int64_t{1}, left);
  const TaskRange units{next_, next_ + size};
  next_ = units.last;
  if (node != comm_.node())
    note(node, units);
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
  note(comm_.node(), units);
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
  // Of a list we know what has been drawn, of a schedule what is done of its long chunks.
  const std::int64_t done = list_.empty() ? now_.done() : taken_ - queue_.left();
  if (taken_ > 0 && spent > 0)
    request.rate = static_cast<double>(done) / spent;
  request.stopped = now_.stopped() ? 1 : 0;
  return request;
}

/// A node that waits looks often; one that works has a use for its cores.
Clock::duration Supply::least_nap() const {
  return queue_.left() > 0 ? Clock::duration(shortest_nap) : Clock::duration(0);
}

/// How long this node surely need not ask.
Clock::duration Supply::idle_time() const {
  const double rate = request().rate;
  if (over_ || !queue_.has_room() || rate <= 0)
    return least_nap();
  const double spare_ns = static_cast<double>(queue_.left()) / rate - reserve_ns;
  return std::clamp(Clock::duration(static_cast<std::int64_t>(spare_ns / 2)), least_nap(),
                    Clock::duration(longest_idle));
}

/// The tasks of units, chunk by chunk. @pre `units` outlives the answer
std::span<const TaskRange> Supply::ranges_in(const TaskRange& units) const {
  if (list_.empty())
    return {&units, units.empty() ? 0U : 1U};
  return std::span(list_).subspan(static_cast<std::size_t>(units.first),
                                  static_cast<std::size_t>(units.size()));
}

void Supply::note(int node, TaskRange units) {
  const auto ranges = ranges_in(units);
  auto& granted = granted_[static_cast<std::size_t>(node)];
  granted.insert(granted.end(), ranges.begin(), ranges.end());
}

/// What a node needs for units and has not: parts may overlap, such as rows with their neighbours,
/// and what is there may be in use.
std::vector<Supply::Stretch> Supply::missing(int node, TaskRange units) {
  std::vector<Stretch> all;
  for (std::size_t b = 0; b < brings_.size(); ++b) {
    Bring& bring = brings_[b];
    const auto bytes = static_cast<std::size_t>(bring.element_bytes);
    Arrivals& arrived = bring.arrived[static_cast<std::size_t>(node)];
    for (const TaskRange range : ranges_in(units))
      for (const Part& part : arrived.add(bring.part_of(range)))
        all.push_back({b, static_cast<std::size_t>(part.first) * bytes,
                       static_cast<std::size_t>(part.count) * bytes});
  }
  return all;
}

} // namespace cleave
