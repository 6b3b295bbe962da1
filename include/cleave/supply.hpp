/// @file
/// Drawing on several nodes: root grants each node super-chunks, stretches of the tasks with their
/// inputs, just before the node runs out, and the node's workers draw their chunks from its
/// NodeQueue; results go back super-chunk by super-chunk, as soon as one is done. Where the chunks
/// are a list, a super-chunk is a stretch of the list. Not for users: they see the Pool.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/node_queue.hpp"
#include "cleave/schedule.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace cleave {

/// The elements of root's array that belong to a chunk of units (tasks, leaves).
using PartOf = std::function<Part(TaskRange)>;

/// Which elements of an array have come.
class Arrivals {
public:
  /// Adds a part. @return what of it was not there before, ascending
  std::vector<Part> add(const Part& part);

private:
  std::map<std::int64_t, std::int64_t> stretches_; // first -> one past the last, apart
};

/// Results that go back to root as super-chunks are done.
struct ReturnedArray {
  std::span<std::byte> root;       ///< root's array, at root alone
  std::span<const std::byte> node; ///< as large, written by the node's workers
  std::int64_t element_bytes;
  PartOf part_of;
};

struct Stretch; // src/supply_post.hpp
class ReturnsOut;

/// One call's super-chunks: which node gets which, how inputs reach it and results come back. While
/// workers compute, a thread of each node's leader runs it; nobody else calls MPI then.
class Supply {
public:
  /// How the call goes on this node.
  struct Now {
    std::function<std::int64_t()> done; ///< units
    std::function<bool()> stopped;      ///< whether it has failed
    std::function<void()> stop;         ///< it has failed on another node
  };
  struct Node {
    int workers;
    double speed; ///< relative to the others, as far as it is known before they compute
  };
  /// @param list of chunks in the order in which to draw them; empty: by `sequence`
  /// @param queue of this node
  Supply(const Comm& comm, std::vector<Node> nodes, const ChunkSequence& sequence,
         std::vector<TaskRange> list, NodeQueue& queue, Now now);
  Supply(const Supply&) = delete;
  Supply& operator=(const Supply&) = delete;

  /// Inputs that come with super-chunks. Every rank adds the same, in the same order.
  /// @param root root's array, at root alone; outlives the call @param node a copy of it, as large,
  /// that the node's workers read; empty where they read root's
  void bring(std::span<const std::byte> root, std::span<std::byte> node, std::int64_t element_bytes,
             PartOf part_of);

  /// Results of super-chunks. Every rank adds the same, in the same order. Those of root's own node
  /// stay where its workers write them.
  /// @param array its memory outlives the call
  void take_back(ReturnedArray array) { returns_.push_back(std::move(array)); }

  /// Until this node, at root every node, has all that it will get, and root has the results; where
  /// the call has failed, those that have left. At leaders alone.
  void run();

  /// While it lives, run() makes no call on MPI. Thread-safe.
  [[nodiscard]] std::unique_lock<std::mutex> hold() { return std::unique_lock(mpi_); }
  /// This rank ends the call by an exception: its node, and run() there, wait for nothing more.
  /// Thread-safe.
  void give_up() noexcept { queue_.give_up(); }

  /// The next chunk for a worker of this node. @param share of this worker
  [[nodiscard]] std::optional<TaskRange> draw(NodeQueue::Share& share, const Pace& pace);
  /// What this node got, in its order. At leaders.
  [[nodiscard]] std::span<const TaskRange> granted() const { return granted_; }
  /// What this rank passed on to another node than root's.
  [[nodiscard]] std::span<const TaskRange> passed_on() const {
    if (comm_.node() == comm_.node_of(0) || !comm_.is_leader())
      return {};
    return granted_;
  }

private:
  struct Bring {
    std::span<const std::byte> root;
    std::span<std::byte> node;
    std::int64_t element_bytes;
    PartOf part_of;
    std::vector<Arrivals> arrived; // root: by node
  };
  struct Grant { // root's answer; then come the stretches, then their bytes
    TaskRange units;
    std::size_t stretches = 0;
    std::uint64_t stopped = 0;
  };
  struct Asker; // a node that asks root
  struct Request {
    double rate = 0; // units a nanosecond that the node gets done
    std::uint64_t stopped = 0;
  };
  void ask();
  void serve();
  [[nodiscard]] bool serve(Asker& asker);
  [[nodiscard]] bool serve_own();
  [[nodiscard]] bool take_results(Asker& asker) const;
  void follow(TaskRange units);
  void give_back(ReturnsOut& returns);
  [[nodiscard]] TaskRange next_for(int node, const Request& request);
  void take(TaskRange units);
  [[nodiscard]] bool due() const;
  /// Whether this node gets no more and is done with what it got.
  [[nodiscard]] bool all_done() const { return over_ && queue_.done() == taken_; }
  [[nodiscard]] Request request() const;
  [[nodiscard]] std::vector<Stretch> missing(int node, TaskRange units);
  [[nodiscard]] std::span<const TaskRange> ranges_in(const TaskRange& units) const;
  [[nodiscard]] int leader_of(int node) const { return leaders_[static_cast<std::size_t>(node)]; }
  [[nodiscard]] std::chrono::steady_clock::duration least_nap() const;
  [[nodiscard]] std::chrono::steady_clock::duration idle_time() const;
  template <class Work, class Idle>
  void until(Work work, Idle idle) const;

  Comm comm_;
  std::vector<Node> nodes_;
  std::vector<int> leaders_; // by node
  ChunkSequence sequence_;   // of units: tasks, or positions in the list
  std::vector<TaskRange> list_;
  NodeQueue& queue_;
  Now now_;
  bool spin_;
  std::vector<Bring> brings_;
  std::vector<ReturnedArray> returns_;
  std::vector<TaskRange> granted_; // to this node, of tasks
  struct SuperChunk {
    std::uint32_t turn;
    TaskRange units;
    bool counted; // else it is known to be done when all are
  };
  std::vector<SuperChunk> under_way_; // whose results have not left
  std::uint32_t turn_ = 0;            // of this node's next super-chunk
  std::vector<double> rates_;         // root: by node, as last told
  std::int64_t next_ = 0;             // root: first unit that is granted to nobody
  std::int64_t taken_ = 0;            // units that this node got
  std::int64_t since_ns_ = 0;         // its first super-chunk
  bool over_ = false;                 // it gets no more
  mutable std::mutex mpi_;            // held by who makes calls on it
};

} // namespace cleave
