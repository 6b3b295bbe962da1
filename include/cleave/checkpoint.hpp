/// @file
/// Checkpoints: what a run has computed so far, kept on disk, so that a later launch goes on from
/// there at any other layout and comes to the same bytes.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/error.hpp"
#include "cleave/range.hpp"

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave {

using Facts = std::map<std::string, std::string>; ///< name -> text

/// What the tasks say that a stop has ended (`CheckpointOptions::stop`), on whichever rank.
inline constexpr const char* asked_to_stop = "the run was asked to stop";

/// How a checkpoint is kept.
struct CheckpointOptions {
  std::filesystem::path folder; ///< on a file system that all nodes share
  bool resume = false;          ///< go on with what is there; nothing there: begin
  bool replace = false;         ///< without resume: remove what is there, instead of refusing it
  /// Keep from begin() on; else from activate() on, and nothing before it.
  bool at_once = true;
  /// What decides the answer, such as parameters and checksums of inputs, at root. A checkpoint
  /// with other facts is refused.
  Facts facts{};
  /// Facts that may differ after all: "build_id", when the user says so.
  std::vector<std::string> may_differ{};
  Facts about{}; ///< of this attempt, for people: host, Slurm job, layout; at root
  /// Mean time between failures of the machine, in seconds: how often to bring to the disk what
  /// the kernel holds, by Young's formula.
  double mtbf_s = 86'400;
  /// Asked ten times a second, on every rank, by a thread of its own: true ends the calls under way
  /// between two tasks, on all ranks of the node, and by way of root on all nodes.
  std::function<bool()> stop{};
  /// Told once, on the leader of each node, by any thread, why nothing is kept any more; not after
  /// end().
  std::function<void(const Error&)> on_trouble{};
};

/// What an earlier attempt, or this one, says of itself.
struct Attempt {
  int number = 0;
  Facts facts;
  Facts about;
  double begun_s = 0;  ///< seconds since 1970
  double last_s = 0;   ///< when it kept something for the last time
  int repetitions = 0; ///< that it completed
};

/// A collective call of a run, the same in every attempt.
struct CallKey {
  std::int32_t repetition = -1; ///< -1: before the first
  std::uint64_t call = 0;       ///< number in its repetition
  std::uint64_t form = 0;       ///< hash of its verb and types
  std::int64_t units = 0;       ///< tasks, or leaves
  auto operator<=>(const CallKey&) const = default;
};

/// The interval between checkpoints that loses least time: sqrt(2 * cost * mtbf), but so long that
/// the cost is at most a hundredth. J. W. Young, "A first order approximation to the optimum
/// checkpoint interval", CACM 17 (1974), doi:10.1145/361147.361115; J. T. Daly, FGCS 22 (2006),
/// doi:10.1016/j.future.2004.11.016. Seconds. Local, thread-safe.
[[nodiscard]] double checkpoint_interval_s(double cost_s, double mtbf_s) noexcept;

/// The checkpoint of one run, on each of its ranks. Every rank appends what its workers complete to
/// a journal of its own, so nothing is sent while tasks run; root reads them all when it resumes.
/// A thread a rank hands what was kept to the kernel about once a second, which the end of the
/// process survives, and to the disk at Young's interval. What would cost more than a hundredth
/// of the time is left out, and computed again after a resume.
class Checkpoint {
public:
  /// Looks at the folder. Collective over `comm`, which outlives this. Writes nothing.
  /// @throws Error bad_input on every rank: the folder holds a checkpoint (without resume), or one
  ///         of another job (with it), and names what differs
  Checkpoint(const Comm& comm, CheckpointOptions options);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  /// Hands over to the kernel what is in memory.
  ~Checkpoint();

  /// The number of this attempt, from 1.
  [[nodiscard]] int attempt() const noexcept;
  /// What came before, at root.
  [[nodiscard]] const std::vector<Attempt>& earlier() const noexcept;
  /// Repetitions that earlier attempts completed, with their answers' checksums; at root.
  [[nodiscard]] const std::map<int, std::uint64_t>& done() const noexcept;
  [[nodiscard]] const std::filesystem::path& folder() const noexcept;

  /// Claims the attempt and makes its files, when at_once. Collective.
  /// @throws Error io on every rank where a file cannot be made; bad_input where another attempt
  ///         has begun meanwhile
  void begin();
  /// The same later, of a checkpoint that was not to begin at once. Root; the others notice. Where
  /// it fails, there is no checkpoint, and trouble() says why.
  void activate();
  /// Whether results are kept. Local, thread-safe.
  [[nodiscard]] bool active() const noexcept { return active_.load(std::memory_order_acquire); }
  /// Whether stop() has said so, here or on root. Local, thread-safe.
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

  /// Keeps results of units [first, last) of a call. Local, thread-safe; about 1 us and a copy.
  void keep(const CallKey& call, TaskRange units, std::span<const std::byte> bytes);
  /// Whether a state would be kept: at most ten times a second, and 1 MB a second. Root's.
  [[nodiscard]] bool state_is_due() const noexcept;
  /// Keeps a state from which the repetition goes on after `call`. Root's, when one is due.
  void keep_state(const CallKey& call, std::span<const std::byte> bytes);

  /// Calls visit(units, bytes) for what earlier attempts have kept of a call, ascending, until all
  /// is covered; parts overlap where two attempts did the same. Root. @return whether there was any
  /// @throws Error io
  bool visit(const CallKey& call,
             const std::function<void(TaskRange units, std::span<const std::byte> bytes)>& told);
  /// The units of a call that nobody has kept. Root.
  [[nodiscard]] std::vector<TaskRange> missing(const CallKey& call) const;
  /// The state that the repetition can go on from, and the call after which. Root.
  struct State {
    std::uint64_t after = 0; ///< number of the call
    std::vector<std::byte> bytes;
  };
  /// @param form hash of its type
  [[nodiscard]] std::optional<State> state(std::int32_t repetition, std::uint64_t form) const;

  /// The number of the first repetition of this launch, where earlier ones are done. Every rank.
  void start_at(std::int32_t repetition) noexcept { first_repetition_ = repetition; }
  [[nodiscard]] std::int32_t first_repetition() const noexcept { return first_repetition_; }
  /// A repetition is complete and recorded: it will not be computed again. Root.
  void complete(std::int32_t repetition, std::uint64_t checksum);
  /// What was kept of earlier repetitions is of no use any more. Every rank, after complete().
  void forget() noexcept;

  /// Hands over to the kernel all that is in memory, and brings it to the disk when told. Local,
  /// thread-safe; never fails: see trouble().
  void flush(bool to_disk) noexcept;
  /// Ends the thread: stop() is asked no more, and on_trouble told no more. Local.
  void end() noexcept;
  /// Why results are not kept any more, on this rank. Local, thread-safe.
  [[nodiscard]] std::optional<Error> trouble() const;
  /// Whether a later attempt has begun, which owns the run's other files then. Root.
  [[nodiscard]] bool superseded() const;
  /// The run is over and its answer written: nothing is kept any more, and root removes the folder,
  /// unless superseded. Every rank.
  void remove() noexcept;

private:
  struct Work;
  void create_log();
  void claim();
  void open_journal();
  void watch();
  void look_around();
  void write_when_due();
  [[nodiscard]] bool taken_over() const;
  void give_up(const Error& error) noexcept;

  std::unique_ptr<Work> work_;
  std::atomic<bool> active_ = false;
  std::atomic<bool> stopping_ = false;
  std::int32_t first_repetition_ = 0;
};

} // namespace cleave
