/// @file
/// What a Comm needs from below: messages and node memory, over MPI or between threads.
#pragma once

#include "cleave/comm.hpp"
#include "meeting.hpp"

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace cleave {

/// Where every rank lives: the same on all ranks.
struct Ranks {
  std::vector<int> node;         ///< by rank
  std::vector<std::string> host; ///< by rank
  std::vector<std::int64_t> pid; ///< by rank
};

/// Point-to-point messages, small collectives and node memory. Messages between a pair arrive in
/// order. The caller keeps every message below the limit and meets before long waits.
class Transport {
public:
  explicit Transport(CommOptions options) : options_(std::move(options)) {}
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  /// The same ranks, with messages and a meeting of their own. Collective.
  [[nodiscard]] virtual std::shared_ptr<Transport> duplicate() const = 0;

  virtual void send(std::span<const std::byte> bytes, int destination) = 0;
  /// Receives exactly bytes.size() bytes.
  virtual void receive(std::span<std::byte> bytes, int source) = 0;
  [[nodiscard]] virtual std::unique_ptr<Mail> mail(int peer, std::size_t piece_bytes, int line) = 0;
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// all: size() * mine.size() bytes, by rank.
  virtual void all_gather(std::span<const std::byte> mine, std::byte* all) = 0;
  /// Folds over the node leaders, each of which calls it: the smallest and largest words.
  virtual Agreement fold_leaders(const Agreement& mine, Meeting& meeting) = 0;
  /// Zeroed memory that all ranks of the node see; empty on all of them when there is no room.
  virtual NodeWindow window(std::int64_t bytes) = 0;
  [[nodiscard]] virtual bool one_process() const noexcept = 0;
  /// Tells the other nodes who has left, and hears it from them. Local, while no other thread makes
  /// calls on MPI; waits for none, but for seconds where it tells in its dead leader's stead.
  virtual void exchange_departures() noexcept {}
  /// Ends the processes of the other ranks.
  virtual void abort(int status) noexcept = 0;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return static_cast<int>(ranks_.node.size()); }
  [[nodiscard]] const Ranks& ranks() const noexcept { return ranks_; }
  [[nodiscard]] const std::vector<int>& node_ranks() const noexcept { return node_ranks_; }
  [[nodiscard]] int nodes() const noexcept { return nodes_; }
  [[nodiscard]] const CommOptions& options() const noexcept { return options_; }
  [[nodiscard]] Meeting& meeting() noexcept { return *meeting_; }
  /// Why there is no agreement now; null: there is.
  [[nodiscard]] std::atomic<const char*>& refusal() noexcept { return refusal_; }
  /// Whether this thread may make calls: that which made this, unless others do meanwhile.
  [[nodiscard]] bool may_call() const noexcept {
    return maker_ == std::this_thread::get_id() && refusal_.load() == nullptr;
  }

protected:
  /// To be called once by the constructor of an implementation, when window() works.
  void settle(int rank, Ranks ranks);

private:
  int rank_ = 0;
  int nodes_ = 1;
  Ranks ranks_;
  std::vector<int> node_ranks_;
  CommOptions options_;
  std::unique_ptr<Meeting> meeting_;
  std::atomic<const char*> refusal_{nullptr};
  std::thread::id maker_ = std::this_thread::get_id();
};

/// Over MPI: duplicates `parent`. Collective.
[[nodiscard]] std::shared_ptr<Transport> mpi_transport(MPI_Comm parent, CommOptions options);

/// The mailboxes that the ranks of one process share.
class ThreadHub;
[[nodiscard]] std::shared_ptr<ThreadHub> thread_hub();
/// Nothing more will be sent: whoever waits for a message gets Error lost_peer.
void close(ThreadHub& hub, const std::string& reason);
/// Between threads of this process. Collective over `count` threads.
[[nodiscard]] std::shared_ptr<Transport> thread_transport(std::shared_ptr<ThreadHub> hub, int rank,
                                                          int count, const CommOptions& options);

} // namespace cleave
