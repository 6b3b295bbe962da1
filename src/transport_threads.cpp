#include "transport.hpp"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cleave {
namespace {

Ranks ranks_as_threads(int count, int ranks_per_node) {
  Ranks ranks;
  for (int r = 0; r < count; ++r) {
    ranks.node.push_back(ranks_per_node > 0 ? r / ranks_per_node : 0);
    ranks.host.push_back("thread-node-" + std::to_string(ranks.node.back()));
    ranks.pid.push_back(getpid());
  }
  return ranks;
}

} // namespace

/// What the ranks of one process share: a mailbox for every pair, and one for its Mail.
class ThreadHub {
public:
  void put(int from, int to, std::span<const std::byte> bytes) {
    put_each(from, std::span(&to, 1), bytes);
  }

  /// To several at once: the first to hear may close the hub, and the last has heard by then.
  void put_each(int from, std::span<const int> to, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    for (const int each : to)
      boxes_[{from, each}].emplace_back(bytes.begin(), bytes.end());
    news_.notify_all();
  }

  /// Unless the one before has not been taken, or when there is nothing to send.
  bool try_put(int from, int to, int line, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte>& box = mail_[{from, to, line}];
    if (!box.empty())
      return false;
    box.assign(bytes.begin(), bytes.end());
    return true;
  }

  std::vector<std::byte> try_take(int from, int to, int line) {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte> bytes = std::exchange(mail_[{from, to, line}], {});
    if (bytes.empty() && !closed_.empty())
      throw Error(ErrorKind::lost_peer, closed_);
    return bytes;
  }

  std::vector<std::byte> take(int from, int to) {
    std::unique_lock lock(mutex_);
    auto& box = boxes_[{from, to}];
    news_.wait(lock, [&] { return !box.empty() || !closed_.empty(); });
    if (box.empty())
      throw Error(ErrorKind::lost_peer, closed_);
    std::vector<std::byte> bytes = std::move(box.front());
    box.pop_front();
    return bytes;
  }

  void close(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (closed_.empty()) // the first alone says why
      closed_ = reason;
    news_.notify_all();
    for (const std::weak_ptr<ThreadHub>& each : children_)
      if (const auto child = each.lock())
        child->close(reason);
  }

  /// Mailboxes of their own, which close with these.
  std::shared_ptr<ThreadHub> child() {
    const std::lock_guard lock(mutex_);
    auto child = std::make_shared<ThreadHub>();
    child->closed_ = closed_;
    children_.emplace_back(child);
    return child;
  }

private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::string closed_; // why nothing more will come
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> boxes_;
  std::map<std::tuple<int, int, int>, std::vector<std::byte>> mail_; // by line, too
  std::vector<std::weak_ptr<ThreadHub>> children_;
};

namespace {

class ThreadMail final : public Mail {
public:
  ThreadMail(std::shared_ptr<ThreadHub> hub, int own, int peer, int line)
      : hub_(std::move(hub)), own_(own), peer_(peer), line_(line) {}

  bool try_send(std::span<const std::byte> piece) override {
    return hub_->try_put(own_, peer_, line_, piece);
  }

  bool sent() override { return hub_->try_put(own_, peer_, line_, {}); }

  std::size_t try_receive(std::span<std::byte> room) override {
    const std::vector<std::byte> piece = hub_->try_take(peer_, own_, line_);
    std::ranges::copy(piece, room.begin());
    return piece.size();
  }

private:
  std::shared_ptr<ThreadHub> hub_;
  int own_;
  int peer_;
  int line_;
};

class ThreadTransport final : public Transport {
public:
  ThreadTransport(std::shared_ptr<ThreadHub> hub, int rank, int count, const CommOptions& options)
      : Transport(options), hub_(std::move(hub)), rank_(rank),
        ranks_(ranks_as_threads(count, options.ranks_per_node)) {
    settle(rank_, ranks_);
  }

  [[nodiscard]] std::shared_ptr<Transport> duplicate() const override {
    std::vector<int> others(ranks_.node.size() - 1);
    std::iota(others.begin(), others.end(), 1);
    auto hub = handed_over(0, others, [this] { return hub_->child(); });
    return std::make_shared<ThreadTransport>(std::move(hub), rank_, count(), options());
  }

  void send(std::span<const std::byte> bytes, int destination) override {
    hub_->put(rank_, destination, bytes);
  }

  void receive(std::span<std::byte> bytes, int source) override {
    const std::vector<std::byte> message = hub_->take(source, rank_);
    std::ranges::copy(message, bytes.begin());
  }

  std::unique_ptr<Mail> mail(int peer, std::size_t, int line) override {
    return std::make_unique<ThreadMail>(hub_, rank_, peer, line);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    if (rank_ != root)
      return receive(bytes, root);
    std::vector<int> others(ranks_.node.size());
    std::iota(others.begin(), others.end(), 0);
    std::erase(others, root);
    hub_->put_each(root, others, bytes);
  }

  void all_gather(std::span<const std::byte> mine, std::byte* all) override {
    const std::span everything(all, mine.size() * static_cast<std::size_t>(count()));
    if (rank_ != 0) {
      send(mine, 0);
    } else {
      std::ranges::copy(mine, everything.begin());
      for (int r = 1; r < count(); ++r)
        receive(everything.subspan(static_cast<std::size_t>(r) * mine.size(), mine.size()), r);
    }
    broadcast(everything, 0);
  }

  Agreement fold_leaders(const Agreement& mine, Meeting&) override {
    std::vector<int> leaders;
    for (int r = 0; r < count(); ++r)
      if (static_cast<std::size_t>(node(r)) == leaders.size())
        leaders.push_back(r);
    Agreement all = mine;
    const auto bytes = std::as_writable_bytes(std::span(&all, 1));
    if (rank_ != leaders.front()) {
      send(bytes, leaders.front());
      receive(bytes, leaders.front());
      return all;
    }
    for (std::size_t l = 1; l < leaders.size(); ++l) {
      Agreement theirs;
      receive(std::as_writable_bytes(std::span(&theirs, 1)), leaders[l]);
      for (std::size_t i = 0; i < all.lowest.size(); ++i) {
        all.lowest[i] = std::min(all.lowest[i], theirs.lowest[i]);
        all.highest[i] = std::max(all.highest[i], theirs.highest[i]);
      }
    }
    hub_->put_each(rank_, std::span(leaders).subspan(1), bytes);
    return all;
  }

  NodeWindow window(std::int64_t bytes) override {
    if (bytes == 0)
      return {};
    using Memory = std::vector<Line>;
    const int leader = first_of(node(rank_));
    std::vector<int> others;
    for (int r = leader + 1; r < count(); ++r)
      if (node(r) == node(rank_))
        others.push_back(r);
    std::shared_ptr<Memory> memory = handed_over(leader, others, [bytes] {
      return std::make_shared<Memory>(static_cast<std::size_t>(bytes) / sizeof(Line) + 1);
    });
    auto* first = reinterpret_cast<std::byte*>(memory->data());
    return {std::move(memory), {first, static_cast<std::size_t>(bytes)}};
  }

  [[nodiscard]] bool one_process() const noexcept override { return true; }
  void abort(int /*status*/) noexcept override {} // they are of this process

private:
  struct alignas(128) Line {
    std::array<std::byte, 128> bytes{};
  };
  /// What `make` returns on `giver`, on that rank and the takers: handed over by address.
  template <class Make>
  std::invoke_result_t<Make> handed_over(int giver, const std::vector<int>& takers,
                                         Make make) const {
    using Pointer = std::invoke_result_t<Make>;
    Pointer* handed = nullptr;
    const auto bytes = std::as_writable_bytes(std::span(&handed, 1));
    if (rank_ == giver) {
      Pointer made = make();
      for (const int taker : takers) {
        handed = new Pointer(made);
        hub_->put(rank_, taker, bytes);
      }
      return made;
    }
    std::ranges::copy(hub_->take(giver, rank_), bytes.begin());
    const std::unique_ptr<Pointer> taken(handed);
    return std::move(*taken);
  }
  [[nodiscard]] int count() const { return static_cast<int>(ranks_.node.size()); }
  [[nodiscard]] int node(int rank) const { return ranks_.node[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] int first_of(int node_index) const {
    return static_cast<int>(std::ranges::find(ranks_.node, node_index) - ranks_.node.begin());
  }

  std::shared_ptr<ThreadHub> hub_;
  int rank_;
  Ranks ranks_;
};

} // namespace

std::shared_ptr<ThreadHub> thread_hub() {
  return std::make_shared<ThreadHub>();
}

void close(ThreadHub& hub, const std::string& reason) {
  hub.close(reason);
}

std::shared_ptr<Transport> thread_transport(std::shared_ptr<ThreadHub> hub, int rank, int count,
                                            const CommOptions& options) {
  return std::make_shared<ThreadTransport>(std::move(hub), rank, count, options);
}

} // namespace cleave
