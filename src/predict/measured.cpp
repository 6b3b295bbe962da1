#include "cleave/error.hpp"
#include "cleave/predict.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

namespace cleave {
namespace {

constexpr std::size_t fewest_gaps = 16;
constexpr double longest_gap_s = 1e-3;

using Rows = std::vector<TraceRow>;

bool is_good(const Repetition& repetition) {
  return repetition.state == RepState::done && repetition.verify != Verify::failed;
}

TaskRange tasks_of(const TraceRow& row) {
  return {row.first_task, row.first_task + row.tasks};
}

/// The tasks of a call that have been seen.
class Seen {
public:
  /// @return false, and nothing added, when one of them has been seen before
  bool add(TaskRange range) {
    auto next = stretches_.lower_bound(range.first);
    if (next != stretches_.end() && next->first < range.last)
      return false;
    if (next != stretches_.begin()) {
      const auto before = std::prev(next);
      if (before->second > range.first)
        return false;
      if (before->second == range.first) {
        range.first = before->first;
        stretches_.erase(before);
      }
    }
    if (next != stretches_.end() && next->first == range.last) {
      range.last = next->second;
      stretches_.erase(next);
    }
    stretches_[range.first] = range.last;
    return true;
  }
  void clear() { stretches_.clear(); }

private:
  std::map<std::int64_t, std::int64_t> stretches_; // first -> one past the last, apart
};

/// One repetition's rows call by call: a task that comes again begins the next one.
std::vector<Rows> calls_of(Rows rows) {
  std::ranges::stable_sort(rows, {}, &TraceRow::begin_s);
  std::vector<Rows> calls;
  Seen seen;
  for (const TraceRow& row : rows) {
    const bool added = seen.add(tasks_of(row));
    if (!added) {
      seen.clear();
      seen.add(tasks_of(row));
    }
    if (!added || calls.empty())
      calls.emplace_back();
    calls.back().push_back(row);
  }
  return calls;
}

/// Tasks in a leaf: what all chunks begin at multiples of. Under block, chunks are too few to tell.
std::int64_t unit_of(std::span<const TraceRow> trace, const Schedule& schedule) {
  if (schedule.technique() == Technique::block)
    return 1;
  std::int64_t common = 0;
  for (const TraceRow& row : trace)
    common = std::gcd(common, row.first_task);
  const std::int64_t k = schedule.chunk();
  return common == 0 ? 1 : common % k == 0 ? common / k : 1;
}

CostProfile profile_of(const Rows& call, std::int64_t unit) {
  std::vector<CostedChunk> chunks;
  chunks.reserve(call.size());
  for (const TraceRow& row : call) {
    const TaskRange tasks = tasks_of(row);
    chunks.push_back({{tasks.first / unit, (tasks.last + unit - 1) / unit},
                      std::max(row.end_s - row.begin_s, 0.0)});
  }
  return CostProfile(std::move(chunks));
}

/// What a worker takes from the end of a chunk to the begin of its next: the median.
double chunk_s_of(const std::vector<Rows>& calls) {
  std::vector<double> gaps_s;
  for (Rows call : calls) {
    std::ranges::sort(call, {}, [](const TraceRow& row) {
      return std::tuple(row.rank, row.thread, row.begin_s);
    });
    for (std::size_t i = 1; i < call.size(); ++i)
      if (call[i].rank == call[i - 1].rank && call[i].thread == call[i - 1].thread)
        gaps_s.push_back(call[i].begin_s - call[i - 1].end_s);
  }
  return gaps_s.size() < fewest_gaps ? ReplayCosts().chunk_s
                                     : std::clamp(median(gaps_s), 0.0, longest_gap_s);
}

double span_s(const Rows& call) {
  const auto last = std::ranges::max_element(call, {}, &TraceRow::end_s);
  return last->end_s - call.front().begin_s;
}

double busy_s(const Repetition& repetition) {
  double sum_s = 0;
  for (const RankTimes& rank : repetition.ranks)
    sum_s += std::reduce(rank.thread_busy_s.begin(), rank.thread_busy_s.end());
  return sum_s;
}

/// Without a trace: all tasks alike; what they took and how evenly it was spread is known.
MeasuredRepetition coarse(const Repetition& repetition, const RunInfo& info, int workers) {
  const double all_s = busy_s(repetition);
  const double rest_s = repetition.wall_s - all_s / workers; // the imbalance too
  return {{CostProfile(std::max<std::int64_t>(info.tasks, 1), all_s)}, std::max(rest_s, 0.0)};
}

double bytes_of(const Repetition& repetition) {
  double bytes = 0;
  for (const RankTimes& rank : repetition.ranks)
    bytes += static_cast<double>(rank.bytes_in) + static_cast<double>(rank.bytes_out);
  return bytes;
}

int workers_of(const RunInfo& info) {
  return info.rank_threads.empty()
             ? info.ranks * info.threads
             : std::reduce(info.rank_threads.begin(), info.rank_threads.end());
}

/// From "1 socket, 2 cores, 1 thread a core"; 0 when there is no such fact.
int cores_of(const RunInfo& info) {
  const auto fact = info.provenance.find("topology");
  if (fact == info.provenance.end())
    return 0;
  const std::size_t comma = fact->second.find(", ");
  return comma == std::string::npos ? 0 : std::atoi(fact->second.c_str() + comma + 2);
}

/// Adds the traced repetitions to `run`.
void add_traced(MeasuredRun& run, const Timings& timings, std::span<const TraceRow> trace) {
  run.unit_tasks = unit_of(trace, Schedule::parse(timings.info.schedule));
  std::map<std::int32_t, Rows> rows;
  for (const TraceRow& row : trace)
    rows[row.rep].push_back(row);
  std::vector<double> gaps_s;
  for (auto& [number, own] : rows) {
    const std::int64_t rep = number - std::ssize(timings.warm_up); // counted from the first of all
    if (rep < 0 || rep >= std::ssize(timings.run) ||
        !is_good(timings.run[static_cast<std::size_t>(rep)]))
      continue;
    const std::vector<Rows> calls = calls_of(std::move(own));
    MeasuredRepetition repetition{{}, timings.run[static_cast<std::size_t>(rep)].wall_s};
    for (const Rows& call : calls) {
      repetition.calls.push_back(profile_of(call, run.unit_tasks));
      repetition.rest_s -= span_s(call);
    }
    repetition.rest_s = std::max(repetition.rest_s, 0.0);
    gaps_s.push_back(chunk_s_of(calls));
    run.repetitions.push_back(std::move(repetition));
  }
  if (!gaps_s.empty())
    run.overheads.chunk_s = median(gaps_s);
}

void add_notes(MeasuredRun& run, const Timings& timings) {
  if (!run.traced)
    run.notes.emplace_back("there is no trace: all tasks are taken to cost the same, and what the "
                           "run lost to imbalance stays; run with --trace for more");
  if (timings.info.oversubscribed)
    run.notes.emplace_back(
        "the run had more workers than cores, which makes its tasks seem dearer");
  if (run.workers == 1)
    run.notes.emplace_back(
        "measured on one worker: what workers lose by sharing memory, and inputs "
        "and results on their way, are not in the prediction");
}

} // namespace

MeasuredRun measured_run(const Timings& timings, std::span<const TraceRow> trace) {
  const RunInfo& info = timings.info;
  MeasuredRun run;
  run.workload = info.workload;
  run.schedule = info.schedule;
  run.workers = std::max(workers_of(info), 1);
  run.workers_a_node = std::max({cores_of(info), run.workers / std::max(info.nodes, 1), 1});
  run.traced = !trace.empty();
  if (run.traced)
    add_traced(run, timings, trace);
  std::vector<double> walls_s;
  std::vector<double> bytes;
  for (const Repetition& repetition : timings.run)
    if (is_good(repetition)) {
      walls_s.push_back(repetition.wall_s);
      bytes.push_back(bytes_of(repetition));
      if (!run.traced)
        run.repetitions.push_back(coarse(repetition, info, run.workers));
    }
  if (run.repetitions.empty())
    throw Error(ErrorKind::bad_input, run.traced && !walls_s.empty()
                                          ? "the trace has no repetition that the run has"
                                          : "no repetition is done and right: nothing to replay");
  run.median_s = median(walls_s);
  const double units = static_cast<double>(run.repetitions.front().calls.front().units());
  run.bytes_a_unit = units > 0 ? median(bytes) / units : 0;
  add_notes(run, timings);
  return run;
}

MeasuredRun grown(const MeasuredRun& run, std::int64_t tasks) {
  MeasuredRun larger = run;
  const std::int64_t units = std::max<std::int64_t>(tasks / run.unit_tasks, 1);
  for (MeasuredRepetition& repetition : larger.repetitions)
    for (CostProfile& call : repetition.calls)
      call = call.stretched(units);
  return larger;
}

} // namespace cleave
