/// @file
/// Chunks as workers take them, and how inputs and results travel with them: one verb, next(), and
/// two ends, Feed and Sink, with the path hidden behind them.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/schedule.hpp"
#include "cleave/supply.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// How task inputs reach the workers and results come back to root.
enum class DataPath : std::uint8_t {
  automatic, ///< the best that this launch permits
  direct,    ///< workers read and write root's arrays (process_vm_readv, process_vm_writev)
  window,    ///< root copies into and out of memory that the node shares
  messages   ///< the only path between nodes; static schedules: scattered before, gathered after
};

/// "direct", "window" ... Local, thread-safe.
[[nodiscard]] const char* name(DataPath path) noexcept;

/// The best path for `comm`: messages on several nodes; direct where every rank may read root's
/// memory; window else. Collective; probes the kernel once.
/// @throws Error bad_input when `wanted` is not automatic and cannot be had
[[nodiscard]] DataPath choose_path(const Comm& comm, DataPath wanted = DataPath::automatic);

/// The workers of a job, numbered rank by rank.
class Workers {
public:
  /// @param threads by rank, each >= 1
  explicit Workers(const std::vector<int>& threads);
  [[nodiscard]] int count() const noexcept { return first_.back(); }
  /// The number of the first worker of `rank`.
  [[nodiscard]] int first_of(int rank) const { return first_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] int threads_of(int rank) const { return first_of(rank + 1) - first_of(rank); }

private:
  std::vector<int> first_; // by rank, and one past the end
};

/// A counter that workers of a node draw from, on a pair of cache lines of its own.
struct alignas(128) Lane {
  std::atomic<std::int64_t> next;
};

/// The chunks of one call as threads take them: those that the sequence gives them beforehand, or
/// drawn from counters that all workers of a node share.
class Chunks {
public:
  /// Static. @param first_worker number of the first of the `threads`
  Chunks(const ChunkSequence& sequence, int first_worker, int threads);
  /// Drawn. Chunks of one size are dealt to the lanes in groups of neighbours, at most 64; a worker
  /// draws from its own lane, and when that is empty from those of the others: no worker idles
  /// while there is a chunk, and as long as all are busy no cache line travels for a draw. Other
  /// techniques use the first lane.
  /// @param lanes the same for all workers, all 0 when the call begins
  /// @param first_lane of the first thread; a thread of a higher number takes the next
  Chunks(const ChunkSequence& sequence, std::span<Lane> lanes, int first_lane, int threads);
  /// Drawn from a list, in its order, which must outlive this.
  Chunks(std::span<const TaskRange> list, Lane& lane);
  /// Drawn from what root grants this node. @param supply outlives this
  Chunks(Supply& supply, int threads);
  /// The next chunk of this thread, or nothing when it has had its last. Each thread for itself.
  /// One atomic operation (a look into each lane at the end), and no MPI call; waits only where the
  /// node's next super-chunk is under way.
  [[nodiscard]] std::optional<TaskRange> next(int thread, const Pace& pace = {});

private:
  struct alignas(128) Cursor { // a cache line pair each: threads must not share one
    std::int64_t ordinal = 0;  // of the thread's next chunk, where it is known beforehand
    std::size_t lane = 0;      // that it draws from
    std::size_t emptied = 0;   // lanes that it has found empty
    NodeQueue::Share share;    // of a super-chunk of its node
  };
  [[nodiscard]] std::optional<TaskRange> draw(const Pace& pace);
  [[nodiscard]] std::optional<TaskRange> draw_dealt(Cursor& cursor);
  [[nodiscard]] std::int64_t number_at(std::size_t lane, std::int64_t place) const noexcept;
  ChunkSequence sequence_;
  Supply* supply_ = nullptr;
  std::span<const TaskRange> list_;
  std::span<Lane> lanes_;
  std::int64_t fixed_ = 0; // tasks in a chunk that is dealt to the lanes
  std::int64_t dealt_ = 0; // number of these chunks
  int group_bits_ = 0;     // 2 to this power lie side by side in a lane
  std::vector<Cursor> cursors_;
};

/// Calls visit(chunk) for all chunks of one worker, in its order.
template <class Visit>
void for_chunks(const ChunkSequence& sequence, int worker, Visit visit) {
  for (std::int64_t o = worker; o < sequence.count(); o += sequence.workers())
    visit(*sequence.chunk(o));
}

/// Node windows that are made once and grow, since a new one costs page faults at every call.
class WindowPool {
public:
  explicit WindowPool(const Comm& comm) : comm_(comm) {}
  enum Use : std::uint8_t { inputs, archive, results, view };
  /// At least `bytes` of shared memory. Collective, equal bytes.
  /// @throws Error io on every rank when there is no room
  [[nodiscard]] std::span<std::byte> get(Use use, std::int64_t bytes);

private:
  Comm comm_;
  std::array<NodeWindow, 4> windows_;
};

/// What Feed and Sink need to know of a call.
struct Route {
  const Comm& comm;
  DataPath path;
  const Workers& workers;
  const ChunkSequence& sequence;
  WindowPool& windows;
  bool drawn;               ///< else each worker's chunks are known beforehand
  Supply* supply = nullptr; ///< where they are drawn on several nodes; each has a window then
};

/// Memory with the alignment of a cache line pair.
class Scratch {
public:
  /// At least `bytes`; what was there before is lost when it must grow.
  [[nodiscard]] std::byte* get(std::size_t bytes);

private:
  struct alignas(128) Line {
    std::array<std::byte, 128> bytes;
  };
  std::vector<Line> lines_;
};

/// Where each thread of a rank stands in the rank's own array, when the rank's chunks lie there one
/// after the other, thread by thread.
class Positions {
public:
  Positions(const Route& route, const PartOf& part_of);
  /// Elements of all of the rank's chunks together.
  [[nodiscard]] std::int64_t elements() const noexcept { return elements_; }
  /// The thread enters its next chunk.
  void enter(int thread, const Part& part);
  /// Where root's element `element` of the thread's current chunk lies.
  [[nodiscard]] std::int64_t at(int thread, std::int64_t element) const {
    const Cursor& cursor = cursors_[static_cast<std::size_t>(thread)];
    return cursor.at + (element - cursor.part.first);
  }

private:
  struct alignas(128) Cursor {
    std::int64_t at = 0;
    std::int64_t next = 0;
    Part part;
  };
  std::int64_t elements_ = 0;
  std::vector<Cursor> cursors_;
};

/// Brings elements of root's array to the threads of this rank.
class Feed {
public:
  /// Collective. @param root root's array, empty elsewhere @param root_address its address, known
  /// to every rank @param elements its length, known to every rank
  Feed(const Route& route, std::span<const std::byte> root, std::uint64_t root_address,
       std::int64_t elements, std::int64_t element_bytes, PartOf part_of,
       WindowPool::Use window = WindowPool::inputs);
  /// The thread begins with `chunk`.
  void enter(int thread, TaskRange chunk);
  /// Elements `wanted` of root's array, inside the part of the current chunk; valid until the
  /// thread's next call. @throws Error io when the kernel refuses
  [[nodiscard]] const std::byte* read(int thread, Part wanted);
  /// Bytes that came from another rank.
  [[nodiscard]] std::uint64_t bytes_moved() const;

private:
  struct alignas(128) Hand {
    Scratch scratch;
    std::uint64_t moved = 0;
  };
  PartOf part_of_;
  std::int64_t element_bytes_;
  const std::byte* base_ = nullptr; // of root's array, where this rank can see it
  std::int64_t root_pid_ = 0;
  std::uint64_t root_address_ = 0;
  Scratch memory_; // behind received_: elements may want more than a byte's alignment
  std::span<std::byte> received_;
  std::optional<Positions> positions_; // of received_
  const Supply* supply_ = nullptr;
  std::vector<Hand> hands_;
};

/// Takes results from the threads of this rank to root's array.
class Sink {
public:
  /// Collective. @param root root's array, to be written; empty elsewhere
  Sink(const Route& route, std::span<std::byte> root, std::uint64_t root_address,
       std::int64_t elements, std::int64_t element_bytes, PartOf part_of,
       WindowPool::Use window = WindowPool::results);
  void enter(int thread, TaskRange chunk);
  /// Where the thread writes elements `part` of root's array.
  [[nodiscard]] std::byte* place(int thread, Part part);
  /// They are written. @throws Error io when the kernel refuses
  void commit(int thread, Part part);
  /// Everything reaches root's array. Collective, after all ranks have ended their chunks.
  void finish();
  [[nodiscard]] std::uint64_t bytes_moved() const;

private:
  struct alignas(128) Hand {
    Scratch scratch;
    std::uint64_t moved = 0;
  };
  void finish_granted();

  Route route_;
  PartOf part_of_;
  std::span<std::byte> root_;
  std::int64_t element_bytes_;
  std::byte* base_ = nullptr; // of root's array, where this rank can see it
  bool copy_out_ = false;     // from the window, by root
  std::int64_t root_pid_ = 0;
  std::uint64_t root_address_ = 0;
  Scratch memory_; // behind held_
  std::span<std::byte> held_;
  std::optional<Positions> positions_; // in held_
  std::vector<Hand> hands_;
};

} // namespace cleave
