/// @file
/// Drawing on several nodes: root grants each node super-chunks, stretches of the tasks with their
/// inputs, just before the node runs out, and the node's workers draw their chunks from its
/// NodeQueue. Where the chunks are a list, a super-chunk is a stretch of the list. Not for users:
/// they see the Pool.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/node_queue.hpp"
#include "cleave/schedule.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
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

/// One call's super-chunks: which node gets which, and how inputs reach it. While workers compute,
/// a thread of each node's leader runs it; nobody else calls MPI then.
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

  /// Until this node, at root every node, has all that it will get. At leaders alone.
  void run();

  /// The next chunk for a worker of this node.
  [[nodiscard]] std::optional<TaskRange> draw(const Pace& pace);
  /// What a node got, in its order. At root of every node, at leaders of their own.
  [[nodiscard]] const std::vector<TaskRange>& granted_to(int node) const {
    return granted_[static_cast<std::size_t>(node)];
  }
  /// What this rank passed on to another node than root's.
  [[nodiscard]] std::span<const TaskRange> passed_on() const {
    if (comm_.node() == comm_.node_of(0) || !comm_.is_leader())
      return {};
    return granted_to(comm_.node());
  }
  /// The rank that speaks for a node.
  [[nodiscard]] int leader_of(int node) const { return leaders_[static_cast<std::size_t>(node)]; }

private:
  struct Bring {
    std::span<const std::byte> root;
    std::span<std::byte> node;
    std::int64_t element_bytes;
    PartOf part_of;
    std::vector<Arrivals> arrived; // root: by node
  };
  struct Stretch { // of one array, in bytes
    std::size_t bring = 0;
    std::size_t first = 0;
    std::size_t count = 0;
    [[nodiscard]] auto of(auto array) const { return array.subspan(first, count); }
  };
  struct Grant { // root's answer; then come the stretches, then their bytes
    TaskRange units;
    std::size_t stretches = 0;
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
  [[nodiscard]] TaskRange next_for(int node, const Request& request);
  void take(TaskRange units);
  [[nodiscard]] bool due() const;
  [[nodiscard]] Request request() const;
  [[nodiscard]] std::vector<Stretch> missing(int node, TaskRange units);
  [[nodiscard]] std::span<const TaskRange> ranges_in(const TaskRange& units) const;
  void note(int node, TaskRange units);
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
  std::vector<std::vector<TaskRange>> granted_; // by node, of tasks
  std::vector<double> rates_;                   // root: by node, as last told
  std::int64_t next_ = 0;                       // root: first unit that is granted to nobody
  std::int64_t taken_ = 0;                      // units that this node got
  std::int64_t since_ns_ = 0;                   // its first super-chunk
  bool over_ = false;                           // it gets no more
};

} // namespace cleave
