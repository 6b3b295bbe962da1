/// @file
/// Measured runs replayed on machines larger than the one they ran on: a discrete-event simulation
/// of every schedule, from the times of chunks in a trace. Pure but for read_measured().
#pragma once

#include "cleave/scaling.hpp"
#include "cleave/schedule.hpp"
#include "cleave/timings.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What the units [0, n) of a call cost: seconds of work up to any of them, linear between the
/// bounds of the chunks that were timed. A unit is what a chunk cannot be smaller than: a task, or
/// in a reduction a leaf. A value.
class CostProfile {
public:
  /// Units of equal cost. @pre units >= 0, seconds >= 0
  CostProfile(std::int64_t units, double seconds);
  /// Of timed chunks in any order, each chunk's cost spread evenly over its units. O(n log n).
  /// @throws Error bad_input when they do not cover [0, n) once each
  explicit CostProfile(std::vector<CostedChunk> chunks);

  [[nodiscard]] std::int64_t units() const noexcept { return knots_.back().first; }
  [[nodiscard]] double total_s() const noexcept { return knots_.back().before_s; }
  /// Of the dearest unit, as far as the chunks tell.
  [[nodiscard]] double longest_s() const noexcept { return longest_s_; }
  /// Seconds that a range takes. Constant time where chunks are of similar size, else logarithmic.
  /// @pre 0 <= first <= last <= units()
  [[nodiscard]] double cost_s(TaskRange range) const noexcept {
    return before_s(range.last) - before_s(range.first);
  }
  /// A profile of the same shape and mean cost over another number of units.
  [[nodiscard]] CostProfile stretched(std::int64_t units) const;

  /// Where a chunk began: its first unit, the seconds of all before it, and those of each in it.
  struct Knot {
    std::int64_t first = 0;
    double before_s = 0;
    double each_s = 0; ///< 0 in the last, which stands behind all units
  };
  [[nodiscard]] std::span<const Knot> knots() const noexcept { return knots_; }

private:
  void index();
  [[nodiscard]] double before_s(std::int64_t unit) const noexcept;

  std::vector<Knot> knots_;
  std::vector<std::uint32_t> buckets_; // of equal width: the last knot at or before each begins
  int shift_ = 0;                      // a bucket has 2^shift_ units
  double longest_s_ = 0;
};

/// What a schedule costs beside the tasks. Seconds; where each number comes from:
/// docs/predicting.md.
struct ReplayCosts {
  double chunk_s = 100e-9; ///< of a worker, for each chunk: drawing it, and the clock
  /// Of them the node's shared counter is held, one worker at a time; not by dynamic on one node,
  /// where each worker has a counter of its own.
  double draw_s = 40e-9;
  double message_s = 10e-6; ///< until a message arrives on another node
  double request_s = 5e-6;  ///< root's time for one message to or from another node
  double nap_s = 1e-3;      ///< until a sleeping leader or root looks for messages
  double bytes_per_s = 1e9; ///< into and out of root's node
};

/// The machine that a run is replayed on: all workers equal.
struct Machine {
  std::int64_t workers = 1;
  std::int64_t workers_a_node = 1;
  [[nodiscard]] std::int64_t nodes() const noexcept {
    return (workers + workers_a_node - 1) / workers_a_node;
  }
};

/// A replayed call.
struct Replayed {
  double time_s = 0;       ///< until the last worker is done
  std::int64_t events = 0; ///< chunks that were replayed one by one
};

/// Replays one call: every worker that is free takes the next chunk as ChunkSequence cuts it, on
/// several nodes from super-chunks that root grants. `auto` and `weighted` are shown as from the
/// second call on, when they know what the first one taught (`adaptive` too; not beyond five
/// million chunks). Block and cyclic are exact sums. More than `events` chunks of equal size are
/// replayed several at a time until few are left. Local, thread-safe; O(events log workers). @pre
/// machine.workers >= 1
[[nodiscard]] Replayed replay(const CostProfile& costs, const Schedule& schedule,
                              const Machine& machine, const ReplayCosts& overheads,
                              std::int64_t events = 20'000'000);

/// max(total / P, longest): no schedule is faster, not even one that knows all costs.
[[nodiscard]] double clairvoyant_s(const CostProfile& costs, const Machine& machine) noexcept;

/// One measured repetition.
struct MeasuredRepetition {
  std::vector<CostProfile> calls; ///< of the Pool, one after another
  double rest_s = 0;              ///< of its wall time outside all calls: more workers do not help
};

/// A run as far as it can be replayed.
struct MeasuredRun {
  std::string workload;
  std::string schedule;
  int workers = 1;
  int workers_a_node = 1;      ///< cores of its largest node, or workers where that is not known
  std::int64_t unit_tasks = 1; ///< tasks in a unit
  bool traced = false;         ///< else from phases and busy times alone: coarser
  double median_s = 0;         ///< its wall time
  double bytes_a_unit = 0;     ///< in and out, where it had other ranks than root
  ReplayCosts overheads;
  std::vector<MeasuredRepetition> repetitions; ///< not empty
  std::vector<std::string> notes;              ///< what a reader of the prediction must know
};

/// What there is to replay in a run and its trace (empty: none). Pure.
/// @throws Error bad_input when no repetition is done, or the trace does not fit the run
[[nodiscard]] MeasuredRun measured_run(const Timings& timings, std::span<const TraceRow> trace);
/// The same of a timings file and, where it exists, NAME.trace.h5 beside it; of a directory the
/// run with the fewest workers, those with a trace before others. Local, not thread-safe.
/// @throws Error bad_input when it cannot be read, or holds several workloads
[[nodiscard]] MeasuredRun read_measured(const std::filesystem::path& result);
/// The run with `tasks` tasks in each call, of the same shape and mean cost.
[[nodiscard]] MeasuredRun grown(const MeasuredRun& run, std::int64_t tasks);

/// What is predicted of one schedule on one machine.
struct Prediction {
  Schedule schedule;
  Machine machine;
  Estimate time_s;     ///< of a repetition; without interval where replays were too few
  Estimate efficiency; ///< the time of one worker / (workers x time)
  Estimate node_hours; ///< of a repetition, of whole nodes
  double bound_s = 0;  ///< the clairvoyant bound of all calls, and the rest
  double regret = 0;   ///< median of time / bound, less 1
};

/// How much is computed for a prediction.
struct PredictOptions {
  std::int64_t events = 20'000'000; ///< at most, in one replay: replay()
  std::int64_t budget = 4'000'000;  ///< after so many events no further repetition is replayed
  std::uint64_t seed = 1;           ///< of resampling
};

/// Replays every repetition: the median and its order-statistic interval. Under six repetitions
/// the interval comes from 40 replays in which costs are those of neighbouring chunks and of
/// repetitions drawn at random. Local, thread-safe.
[[nodiscard]] Prediction predict(const MeasuredRun& run, const Schedule& schedule,
                                 const Machine& machine, const PredictOptions& options = {});

/// The profiles of one call in every repetition mixed: each chunk's cost that of a neighbour, each
/// stretch from another repetition. @pre not empty, all of the same number of units
[[nodiscard]] CostProfile resampled(std::span<const CostProfile* const> profiles,
                                    std::mt19937_64& random);

/// The prediction with the least time. @pre not empty
[[nodiscard]] const Prediction& best(std::span<const Prediction> predictions);

/// What the user wants of a machine: one of them is set.
struct Wish {
  std::optional<double> efficiency; ///< at least; the largest machine that has it
  std::optional<double> deadline_s; ///< at most; the smallest machine that meets it
};
/// The machine to ask for, in whole nodes where one node does not do: found among `known`, one or
/// more for each of several machines, and between them by bisection to a sixteenth. Nothing when
/// no machine as large as the largest known fulfils the wish.
[[nodiscard]] std::optional<Prediction> ask(const MeasuredRun& run, const Wish& wish,
                                            std::span<const Prediction> known,
                                            const PredictOptions& options = {});

/// auto, block, cyclic, dynamic, guided, trapezoid, factoring, weighted, adaptive.
[[nodiscard]] std::vector<Schedule> all_schedules();

} // namespace cleave
