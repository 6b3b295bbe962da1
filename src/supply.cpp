#include "cleave/supply.hpp"

#include "absence.hpp"
#include "schedule_pacing.hpp"
#include "supply_post.hpp"
#include "supply_returns.hpp"
#include "waiting.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace cleave {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto longest_nap = std::chrono::milliseconds(2);
constexpr double reserve_ns = pacing::reserve_ns;

std::int64_t now_ns() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
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
  Asker(const Supply& supply, int node_number)
      : node(node_number), post(supply.comm_, supply.leader_of(node), Post::grants) {
    post.expect(bytes_of(request));
    if (!supply.returns_.empty())
      returns.emplace(supply.comm_, supply.returns_, supply.leader_of(node));
  }
  /// Whether nothing goes to it or comes from it any more.
  [[nodiscard]] bool done() { return over && post.gone() && (!returns || returns->arrived()); }
  int node;
  Post post;
  Request request;
  bool over = false; // it has been told so
  std::optional<ReturnsIn> returns;
};

Supply::Supply(const Comm& comm, std::vector<Node> nodes, const ChunkSequence& sequence,
               std::vector<TaskRange> list, NodeQueue& queue, Now now)
    : comm_(comm), nodes_(std::move(nodes)),
      sequence_(list.empty() ? sequence : one_by_one(std::ssize(list), sequence.workers())),
      list_(std::move(list)), queue_(queue), now_(std::move(now)), spin_(!comm.yields()),
      rates_(nodes_.size()) {
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

std::optional<TaskRange> Supply::draw(NodeQueue::Share& share, const Pace& pace) {
  const int workers = nodes_[static_cast<std::size_t>(comm_.node())].workers;
  // The leader's process, which grants, may have been killed.
  const auto lost = [this] { return comm_.left().has_value(); };
  auto chunk = queue_.draw(sequence_, workers, pace, spin_, share, lost);
  if (chunk && !list_.empty())
    chunk = list_[static_cast<std::size_t>(chunk->first)];
  return chunk;
}

/// Calls work(naps) until it says that all is done, or nobody cares; it restarts the naps where
/// something moved.
/// @param idle for how long nothing will be to do
template <class Work, class Idle>
void Supply::until(Work work, Idle idle) const {
  const ExactNaps exactly;
  Naps naps(longest_nap);
  const auto ended = [&] {
    const std::lock_guard lock(mpi_);
    return queue_.given_up() || work(naps);
  };
  while (!ended()) {
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
  Post post(comm_, 0, Post::grants);
  Request request;
  Grant grant;
  std::vector<Stretch> stretches;
  std::optional<ReturnsOut> returns;
  if (!returns_.empty())
    returns.emplace(comm_, returns_);
  enum class State : std::uint8_t { idle, grant, stretches, body } state = State::idle;
  Awaited awaited(comm_);
  const auto step = [&](Naps& naps) {
    if (state == State::idle && due()) {
      request = this->request();
      post.send({bytes_of(request)}, {});
      post.expect(bytes_of(grant));
      state = State::grant;
    }
    bool moved = post.move();
    if (state == State::grant && post.come()) {
      if (grant.stopped != 0) // one failure ends the call on every node
        now_.stop();
      stretches.resize(grant.stretches);
      post.expect(std::as_writable_bytes(std::span(stretches)));
      state = State::stretches;
    }
    if (state == State::stretches && post.come()) {
      for (const Stretch& stretch : stretches)
        post.expect(stretch.of(brings_[stretch.array].node));
      state = State::body;
    }
    if (state == State::body && post.come()) {
      take(grant.units);
      state = State::idle;
    }
    if (returns) {
      give_back(*returns);
      moved = returns->move() || moved;
    }
    if (moved)
      naps.restart();
    const bool waits = !moved && queue_.left() == 0 && (state != State::idle || all_done());
    awaited.look(waits ? std::optional(0) : std::nullopt);
    return over_ && post.gone() && (!returns || returns->arrived());
  };
  until(step, [&] {
    const bool idle = state == State::idle && (!returns || returns->idle());
    return idle ? idle_time() : least_nap();
  });
}

void Supply::serve() {
  std::deque<Asker> askers;
  for (int node = 0; node < comm_.nodes(); ++node)
    if (node != comm_.node())
      askers.emplace_back(*this, node);
  Awaited awaited(comm_);
  const auto step = [&](Naps& naps) {
    bool moved = serve_own();
    for (Asker& asker : askers)
      moved = serve(asker) || moved;
    for (Asker& asker : askers) // who asks must not wait for results
      moved = take_results(asker) || moved;
    if (moved)
      naps.restart();
    const auto waits_for = std::ranges::find_if(askers, [](Asker& asker) { return !asker.done(); });
    const bool waits = waits_for != askers.end();
    awaited.look(waits && !moved && all_done() ? std::optional(leader_of(waits_for->node))
                                               : std::nullopt);
    return over_ && !waits;
  };
  until(step, [this] { return least_nap(); }); // others ask when they like
}

bool Supply::take_results(Asker& asker) const {
  if (!asker.returns)
    return false;
  if (now_.stopped())
    asker.returns->forget();
  return asker.returns->move();
}

/// Answers a node that asks. @return whether anything moved
bool Supply::serve(Asker& asker) {
  if (!asker.post.move())
    return false;
  if (asker.over || !asker.post.come())
    return true;
  const TaskRange units = next_for(asker.node, asker.request);
  const std::vector<Stretch> stretches = missing(asker.node, units);
  const Grant grant{units, stretches.size(), now_.stopped() ? 1U : 0U};
  std::vector<std::span<const std::byte>> body;
  for (const Stretch& stretch : stretches)
    body.push_back(stretch.of(brings_[stretch.array].root));
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
    if (const Bring& bring = brings_[stretch.array]; !bring.node.empty())
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
  const double wanted =
      std::max(static_cast<double>(left) * share / 2, request.rate * pacing::shortest_grant_ns);
  const std::int64_t size =
      wanted >= static_cast<double>(left)
          ? left
          : std::clamp(static_cast<std::int64_t>(wanted), std::int64_t{1}, left);
  const TaskRange units{next_, next_ + size};
  next_ = units.last;
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
  const auto ranges = ranges_in(units);
  granted_.insert(granted_.end(), ranges.begin(), ranges.end());
  if (!returns_.empty() && !comm_.is_root())
    follow(units);
  queue_.grant(units);
}

/// The node's next super-chunk, until its results leave. Where another one still uses the count
/// that is its own, neither is told by that.
void Supply::follow(TaskRange units) {
  bool counted = true;
  for (SuperChunk& other : under_way_)
    if (other.turn % NodeQueue::counts == turn_ % NodeQueue::counts)
      counted = other.counted = false;
  under_way_.push_back({turn_++, units, counted});
}

/// Results of super-chunks that are done leave this node.
void Supply::give_back(ReturnsOut& returns) {
  if (returns.forgotten()) // the call has failed elsewhere
    now_.stop();
  const bool stopped = now_.stopped();
  const bool all = all_done();
  std::erase_if(under_way_, [&](const SuperChunk& chunk) {
    const bool done = all || (chunk.counted && queue_.done(chunk.turn) == chunk.units.size());
    if (done && !stopped)
      returns.add(ranges_in(chunk.units));
    return done;
  });
  if (all || stopped)
    returns.end(stopped);
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
  return queue_.left() > 0 ? Clock::duration(pacing::shortest_nap_ns) : Clock::duration(0);
}

/// How long this node surely need not ask.
Clock::duration Supply::idle_time() const {
  const double rate = request().rate;
  if (over_ || !queue_.has_room() || rate <= 0)
    return least_nap();
  const double spare_ns = static_cast<double>(queue_.left()) / rate - reserve_ns;
  return std::clamp(Clock::duration(static_cast<std::int64_t>(spare_ns / 2)), least_nap(),
                    Clock::duration(pacing::longest_idle_ns));
}

/// The tasks of units, chunk by chunk. @pre `units` outlives the answer
std::span<const TaskRange> Supply::ranges_in(const TaskRange& units) const {
  if (list_.empty())
    return {&units, units.empty() ? 0U : 1U};
  return std::span(list_).subspan(static_cast<std::size_t>(units.first),
                                  static_cast<std::size_t>(units.size()));
}

/// What a node needs for units and has not: parts may overlap, such as rows with their neighbours,
/// and what is there may be in use.
std::vector<Stretch> Supply::missing(int node, TaskRange units) {
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
