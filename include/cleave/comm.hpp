/// @file
/// Communication among the ranks: an own duplicate communicator, agreement, 64-bit scatterv and
/// gatherv in bounded messages, node-shared windows; and an in-process stand-in for tests.
#pragma once

#include "cleave/error.hpp"
#include "cleave/session.hpp"

#include <mpi.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace cleave {

/// A type whose bytes are its value: what travels without serialisation.
template <class T>
concept Bytes = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

/// A contiguous part of a root's array.
struct Part {
  std::int64_t first = 0; ///< index of its first element
  std::int64_t count = 0; ///< elements
};

/// Which parts of a root's array each rank holds, one after the other: functions of rank and
/// number, so that a million small parts need no memory.
struct Pieces {
  std::function<std::int64_t(int rank)> count;              ///< parts of a rank
  std::function<Part(int rank, std::int64_t number)> piece; ///< its part `number`
};

/// How a Comm behaves.
struct CommOptions {
  /// The most bytes in one message; larger parts travel in pieces. >= 1.
  std::int64_t message_limit = std::int64_t{64} << 20;
  /// Pretend that every node has this many ranks, to test several nodes on one; 0: the truth.
  int ranks_per_node = 0;
  /// Seconds after which a rank that the others wait for is named, again and again. > 0.
  double patience_s = 60;
  /// Told, on the waiting rank, who is waited for; called at most once per patience_s.
  /// The default writes to standard error, since a silent wait looks like a hang.
  std::function<void(const std::string&)> on_absent{};
};

/// What a round of agreement carries: words that all ranks compare or fold.
using Words = std::array<std::uint64_t, 6>;

/// The outcome of Comm::agree: the smallest and the largest of each word over all ranks.
struct Agreement {
  Words lowest{};
  Words highest{};
  [[nodiscard]] bool unanimous() const noexcept { return lowest == highest; }
};

/// Memory that all ranks of a node see at the same time; every rank of the node holds one. Freed
/// when the last holder lets go: no call is needed, so that a rank which unwinds never hangs.
class NodeWindow {
public:
  NodeWindow() = default;
  /// @param keep what keeps the memory mapped
  NodeWindow(std::shared_ptr<void> keep, std::span<std::byte> bytes) noexcept
      : keep_(std::move(keep)), bytes_(bytes) {}
  /// Empty when a node had no room: every rank sees it empty then.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

private:
  std::shared_ptr<void> keep_;
  std::span<std::byte> bytes_;
};

/// root's monotonic clock = this rank's + offset, give or take the error.
struct ClockOffset {
  std::int64_t offset_ns = 0;
  std::int64_t error_ns = 0;
};

/// Messages to and from one other rank that nobody waits for, apart from all others of the Comm:
/// for a stream cut into pieces. Used by one thread at a time, while no other makes calls on MPI.
/// The other rank has its own Mail for this one, and both end when all has arrived.
class Mail {
public:
  Mail() = default;
  Mail(const Mail&) = delete;
  Mail& operator=(const Mail&) = delete;
  virtual ~Mail() = default;

  /// Sends a copy of `piece`, unless the one before is still on its way. @return whether it did
  /// @param piece at most the bytes that the Mail was made for
  [[nodiscard]] virtual bool try_send(std::span<const std::byte> piece) = 0;
  /// Whether nothing is on its way to the other rank.
  [[nodiscard]] virtual bool sent() = 0;
  /// Takes the next piece. @param room for the largest piece @return its bytes, 0: none has come
  [[nodiscard]] virtual std::size_t try_receive(std::span<std::byte> room) = 0;
};

class Transport; // src/transport.hpp: MPI, or threads of this process

/// The ranks of a job. Copies share one communicator. Collective calls must be made by every rank
/// in the same order, by one thread a rank at a time.
class Comm {
public:
  /// Duplicates MPI_COMM_WORLD. Collective. @pre session outlives this
  /// @throws Error lost_peer where a rank ends its Session instead
  explicit Comm(const Session& session, CommOptions options = {});
  /// Duplicates `parent`, so that our messages never meet the caller's. Collective over `parent`.
  explicit Comm(MPI_Comm parent, CommOptions options = {});

  /// Runs body(comm) on `ranks` threads of this process, each a rank of an in-process Comm: no MPI,
  /// so that the thread sanitizer sees everything. Rethrows the first exception by rank.
  static void in_process(int ranks, const std::function<void(Comm&)>& body,
                         CommOptions options = {});

  /// The same ranks, apart: messages of the two never meet, and a rank that leaves one has not left
  /// the other. Collective.
  [[nodiscard]] Comm duplicate() const;

  [[nodiscard]] int rank() const noexcept;
  [[nodiscard]] int size() const noexcept;
  [[nodiscard]] bool is_root() const noexcept { return rank() == 0; }
  [[nodiscard]] int nodes() const noexcept;
  [[nodiscard]] int node() const noexcept { return node_of(rank()); }
  [[nodiscard]] int node_of(int rank) const noexcept;
  /// Ranks of this rank's node, ascending; the first is the node's leader.
  [[nodiscard]] const std::vector<int>& node_ranks() const noexcept;
  [[nodiscard]] bool is_leader() const noexcept { return node_ranks().front() == rank(); }
  /// Name of a rank's host.
  [[nodiscard]] const std::string& host_of(int rank) const noexcept;
  /// Process id of a rank.
  [[nodiscard]] std::int64_t pid_of(int rank) const noexcept;
  /// Whether ranks of this node are threads of one process (the stand-in).
  [[nodiscard]] bool one_process() const noexcept;

  /// All ranks meet, and each learns the smallest and largest of every word. The fence of every
  /// collective call: what was written to node windows before is visible after. Waits by spinning
  /// briefly, then sleeps. Collective. Under 1 us awake on one node.
  /// @throws Error lost_peer on every rank when a rank has left(), bad_input on a rank that must
  ///         refuse_agreement()
  Agreement agree(const Words& words) const;
  void barrier() const { agree({}); }
  /// Tells the others that this rank will make no more calls, so that nobody waits for it. Those of
  /// other nodes learn it by a message, sent by the node's leader: at once when it is this rank,
  /// and this the thread that made the Comm, else when it next waits. Local.
  void leave(const std::string& reason) const noexcept;
  /// Why nobody need wait for the other ranks, once one has left, or its process has ended; else
  /// nothing. Of other nodes this rank learns while its node's leader waits. Local, thread-safe.
  [[nodiscard]] std::optional<Error> left() const;
  /// Ends the processes of all ranks, with this exit status. Local, from any thread while no other
  /// makes calls on MPI.
  [[noreturn]] void abort(int status) const noexcept;
  /// Whether the rank that has left did so without leave(), so that nobody has told why. Local.
  [[nodiscard]] bool left_silently() const noexcept;
  /// While `why` is given, agree() throws Error bad_input with it on this rank, instead of waiting
  /// for ranks that are busy elsewhere. Local, thread-safe. @param why lives on; null: no longer
  void refuse_agreement(const char* why) const noexcept;
  /// Throws what agree() would throw for refuse_agreement(). Local, thread-safe.
  void check_agreement() const;
  /// With more workers than cores nobody spins: a waiting rank gives its core away at once. Local.
  void yield_at_once(bool on) const noexcept;
  [[nodiscard]] bool yields() const noexcept;

  /// Overwrites `bytes` everywhere with root's. Collective; equal sizes.
  void broadcast(std::span<std::byte> bytes, int root = 0) const;
  /// Root's text on every rank. Collective.
  [[nodiscard]] std::string broadcast(std::string text, int root = 0) const;
  /// Everyone's value, by rank, on every rank. Collective.
  template <Bytes T>
  [[nodiscard]] std::vector<T> all_gather(const T& mine) const;
  /// Everyone's text, by rank, on every rank. Collective. Root holds all of it twice.
  [[nodiscard]] std::vector<std::string> all_gather(const std::string& mine) const;

  /// Sends part r of root's `all` to rank r: any displacements, overlaps and empty parts allowed.
  /// Collective. @param all read at root alone @param parts the same on every rank, by rank
  /// @param mine parts[rank()].count elements
  /// @throws Error bad_input on every rank when a part lies outside `all`
  template <Bytes T>
  void scatterv(std::span<const T> all, std::span<const Part> parts, std::span<T> mine,
                int root = 0) const;
  /// The reverse: rank r's `mine` lands at part r of root's `all`; elements outside stay untouched.
  template <Bytes T>
  void gatherv(std::span<const T> mine, std::span<const Part> parts, std::span<T> all,
               int root = 0) const;
  /// scatterv in which a rank receives several pieces, one after the other. Collective.
  /// @param pieces the same on every rank, in elements of `element_bytes`
  void scatter_pieces(std::span<const std::byte> all, const Pieces& pieces,
                      std::span<std::byte> mine, std::int64_t element_bytes, int root = 0) const;
  /// gatherv in which a rank contributes several pieces. Collective.
  void gather_pieces(std::span<const std::byte> mine, const Pieces& pieces,
                     std::span<std::byte> all, std::int64_t element_bytes, int root = 0) const;
  /// Root's blob r to rank r, returned there; sizes need not be known to the receivers. Collective.
  /// @param blob called at root for each other rank in turn, so that one is in memory at a time
  [[nodiscard]] std::vector<std::byte>
  scatter_blobs(const std::function<std::vector<std::byte>(int rank)>& blob, int root = 0) const;
  /// Every rank's blob to root, handed over there rank by rank (root's own left out). Collective.
  void gather_blobs(std::span<const std::byte> mine,
                    const std::function<void(int rank, std::vector<std::byte>)>& take,
                    int root = 0) const;
  /// Every rank's blob, by rank, on every rank. Collective.
  [[nodiscard]] std::vector<std::vector<std::byte>>
  all_gather_blobs(std::span<const std::byte> mine) const;

  /// Messages to and from `peer` without waiting. Local; one a pair and line at a time.
  /// @param piece_bytes the most bytes of one, the same on both ranks, within the message limit
  /// @param line 0, 1 ...: messages of different ones never meet
  [[nodiscard]] std::unique_ptr<Mail> mail(int peer, std::int64_t piece_bytes, int line = 0) const;

  /// How this rank's clock differs from root's: shortest of 16 round trips between node leaders
  /// (Cristian 1989, doi:10.1007/BF01784024). Collective.
  [[nodiscard]] ClockOffset clock_offset() const;
  /// Memory shared by the ranks of this rank's node, zeroed. Collective over the job.
  /// @param bytes the same on every rank of a node; may be 0
  [[nodiscard]] NodeWindow window(std::int64_t bytes) const;

  [[nodiscard]] const CommOptions& options() const noexcept;

private:
  explicit Comm(std::shared_ptr<Transport> transport);
  void all_gather_bytes(std::span<const std::byte> mine, std::byte* all) const;
  void receive_pieces(const Pieces& pieces, std::span<std::byte> all, std::int64_t element_bytes,
                      int rank) const;
  std::shared_ptr<Transport> transport_;
};

/// Pieces of one part a rank; a rank that has none gets a part that is refused. `parts` must
/// outlive the result.
[[nodiscard]] inline Pieces one_each(std::span<const Part> parts) {
  return {.count = [](int) { return std::int64_t{1}; },
          .piece =
              [parts](int rank, std::int64_t) {
                const auto r = static_cast<std::size_t>(rank);
                return r < parts.size() ? parts[r] : Part{.first = 0, .count = -1};
              }};
}

template <Bytes T>
std::vector<T> Comm::all_gather(const T& mine) const {
  std::vector<T> all(static_cast<std::size_t>(size()));
  all_gather_bytes(std::as_bytes(std::span(&mine, 1)),
                   std::as_writable_bytes(std::span(all)).data());
  return all;
}

template <Bytes T>
void Comm::scatterv(std::span<const T> all, std::span<const Part> parts, std::span<T> mine,
                    int root) const {
  scatter_pieces(std::as_bytes(all), one_each(parts), std::as_writable_bytes(mine), sizeof(T),
                 root);
}

template <Bytes T>
void Comm::gatherv(std::span<const T> mine, std::span<const Part> parts, std::span<T> all,
                   int root) const {
  gather_pieces(std::as_bytes(mine), one_each(parts), std::as_writable_bytes(all), sizeof(T), root);
}

} // namespace cleave
