/// @file
/// One run in memory: what every rank and thread did, how long it took, and where it came from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What a rank is doing; a rank is in exactly one phase at a time. setup lies before the
/// synchronised start and write after the last rank's end.
enum class Phase : std::uint8_t { setup, scatter, compute, wait, gather, write };

inline constexpr std::size_t phase_count = 6;
inline constexpr std::array<const char*, phase_count> phase_names = {"setup", "scatter", "compute",
                                                                     "wait",  "gather",  "write"};
inline constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

/// What one rank measured in one repetition. Times in seconds.
struct RankTimes {
  std::array<double, phase_count> phase_time_s{};  ///< time spent in each phase
  std::array<double, phase_count> phase_begin_s{}; ///< first entry, from the synchronised start;
                                                   ///< NaN when never entered
  std::vector<double> thread_busy_s;               ///< per thread: time inside tasks
  std::uint64_t tasks_done = 0;
  std::uint64_t chunks_done = 0;
  std::uint64_t bytes_in = 0;  ///< task inputs received from another rank
  std::uint64_t bytes_out = 0; ///< task results sent to another rank
  std::uint32_t involuntary_switches = 0;
  std::uint64_t peak_memory_bytes = 0;    ///< the most it has held since its start; 0: not known
  std::uint64_t program_memory_bytes = 0; ///< the most that a program has held which a task started
};

/// State of a repetition's row in the file.
enum class RepState : std::uint8_t {
  empty = 0,
  done = 1,
  wrong_answer = 2,
  interrupted = 3,
  resumed =
      4 ///< answered, but a part was computed by an earlier launch: its wall is no measurement
};
/// What the check of a repetition's answer said.
enum class Verify : std::uint8_t { not_checked = 0, ok = 1, failed = 2 };

/// One repetition: start together, compute, join, check.
struct Repetition {
  double wall_s = not_measured; ///< synchronised start to the last rank's end
  std::vector<RankTimes> ranks; ///< by rank
  std::string schedule_used;
  double barrier_skew_s = 0; ///< between the first and the last rank's start
  double clock_error_s = 0;  ///< bound on the error of comparing clocks between ranks
  double start_utc_s = 0;    ///< seconds since 1970
  float load1 = 0;           ///< one-minute load average at the start
  RepState state = RepState::empty;
  Verify verify = Verify::not_checked;
  std::uint64_t checksum = 0; ///< XXH3-64 of the result's bytes
};

/// Everything about a run that is known before the first repetition.
struct RunInfo {
  std::string workload;
  std::string schedule;
  std::string sync_method;               ///< how ranks start together
  std::string summary_method = "median"; ///< how repetitions become one number
  std::string work_unit;                 ///< unit of work_items, such as "pairs"
  double work_items = 0;                 ///< work of one repetition
  std::int64_t tasks = 0;
  int ranks = 1;
  int threads = 1; ///< the most in a rank
  int nodes = 1;
  bool oversubscribed = false;                   ///< more workers than cores
  std::vector<int> rank_threads;                 ///< by rank
  std::vector<int> rank_node;                    ///< by rank
  std::vector<std::string> rank_cpus;            ///< by rank, such as "0-3,8"
  std::vector<std::int64_t> rank_pid;            ///< by rank
  std::vector<std::string> node_name;            ///< by node
  std::string config_hash;                       ///< of workload and parameters, 16 hex digits
  std::map<std::string, std::string> provenance; ///< fact -> text
};

/// One chunk in a trace: who computed which tasks when.
struct TraceRow {
  std::int32_t rep = 0;
  std::int32_t rank = 0;
  std::int32_t thread = 0;
  std::int64_t first_task = 0;
  std::int64_t tasks = 0;
  double begin_s = 0; ///< from the synchronised start
  double end_s = 0;
};

/// A run: what is known of it, and its repetitions in order.
struct Timings {
  RunInfo info;
  std::vector<Repetition> warm_up;
  std::vector<Repetition> run;
};

/// XXH3-64 of `bytes`. Local, thread-safe. https://xxhash.com
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes,
                                     std::uint64_t seed = 0) noexcept;
/// The same of a stream's bytes up to its end, a block of them in memory at a time. Local.
[[nodiscard]] std::uint64_t checksum(std::istream& bytes);

/// 16 lower-case hexadecimal digits.
[[nodiscard]] std::string hex16(std::uint64_t value);

/// The exclusive phases of one rank, as an object passed along: entering a phase ends the one
/// before, so that the times add up to the whole. Not thread-safe: the rank's main thread owns it.
class PhaseClock {
public:
  /// Starts all over in `phase`. `origin_ns` is the synchronised start (monotonic clock).
  void restart(Phase phase, std::int64_t origin_ns) noexcept;
  /// Ends the current phase and enters `phase`.
  void enter(Phase phase) noexcept;
  [[nodiscard]] Phase current() const noexcept { return current_; }
  /// Adds up the current phase until now and writes times and begins into `times`.
  void read(RankTimes& times) noexcept;

private:
  Phase current_ = Phase::setup;
  std::int64_t origin_ns_ = 0;
  std::int64_t entered_ns_ = 0;
  std::array<std::int64_t, phase_count> spent_ns_{};
  std::array<std::int64_t, phase_count> begin_ns_{};
  std::array<bool, phase_count> seen_{};
};

/// CLOCK_MONOTONIC in nanoseconds: one clock for all ranks of a node. Local, thread-safe.
[[nodiscard]] std::int64_t monotonic_ns() noexcept;

} // namespace cleave
