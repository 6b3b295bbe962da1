#include "cleave/predict.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace cleave {
namespace {

constexpr std::size_t fewest_for_interval = 6;
constexpr std::size_t resamplings = 40;  // the interval leaves out one at each end: 95 %
constexpr double nodes_apart = 1.0 / 16; // as near as ask() looks

/// What replays of a repetition come to.
struct Replays {
  std::vector<double> time_s;
  std::vector<double> serial_s; // of one worker, without scheduling
  std::vector<double> bound_s;
  std::int64_t events = 0;

  [[nodiscard]] std::size_t count() const { return time_s.size(); }
};

void add(Replays& replays, const MeasuredRepetition& repetition, const MeasuredRun& run,
         const Schedule& schedule, const Machine& machine, std::int64_t events) {
  double time_s = repetition.rest_s;
  double serial_s = repetition.rest_s;
  double bound_s = repetition.rest_s;
  const double elsewhere =
      1 - static_cast<double>(std::min(machine.workers_a_node, machine.workers)) /
              static_cast<double>(machine.workers);
  for (const CostProfile& call : repetition.calls) {
    const Replayed replayed = replay(call, schedule, machine, run.overheads, events);
    const double bytes = run.bytes_a_unit * static_cast<double>(call.units());
    time_s += replayed.time_s + elsewhere * bytes / run.overheads.bytes_per_s;
    serial_s += call.total_s();
    bound_s += clairvoyant_s(call, machine);
    replays.events += replayed.events + machine.workers;
  }
  replays.time_s.push_back(time_s);
  replays.serial_s.push_back(serial_s);
  replays.bound_s.push_back(bound_s);
}

/// Repetitions by how near their work is to the median: the first of them stands for all.
std::vector<const MeasuredRepetition*> most_typical_first(const MeasuredRun& run) {
  const auto work_s = [](const MeasuredRepetition& repetition) {
    double sum_s = repetition.rest_s;
    for (const CostProfile& call : repetition.calls)
      sum_s += call.total_s();
    return sum_s;
  };
  std::vector<double> all_s;
  std::vector<const MeasuredRepetition*> order;
  for (const MeasuredRepetition& repetition : run.repetitions) {
    all_s.push_back(work_s(repetition));
    order.push_back(&repetition);
  }
  const double typical_s = median(all_s);
  std::ranges::stable_sort(order, {}, [&](const MeasuredRepetition* repetition) {
    return std::abs(work_s(*repetition) - typical_s);
  });
  return order;
}

bool same_calls(const MeasuredRepetition& a, const MeasuredRepetition& b) {
  return std::ranges::equal(a.calls, b.calls, {}, &CostProfile::units, &CostProfile::units);
}

MeasuredRepetition resampled(const MeasuredRun& run, std::mt19937_64& random) {
  std::uniform_int_distribution<std::size_t> any(0, run.repetitions.size() - 1);
  MeasuredRepetition mixed{{}, run.repetitions[any(random)].rest_s};
  for (std::size_t c = 0; c < run.repetitions.front().calls.size(); ++c) {
    std::vector<const CostProfile*> profiles;
    for (const MeasuredRepetition& repetition : run.repetitions)
      profiles.push_back(&repetition.calls[c]);
    mixed.calls.push_back(resampled(profiles, random));
  }
  return mixed;
}

/// Where repetitions are few: the interval of replays of resampled costs.
Replays resample(const MeasuredRun& run, const Schedule& schedule, const Machine& machine,
                 const PredictOptions& options) {
  std::mt19937_64 random(options.seed);
  Replays replays;
  for (std::size_t i = 0; i < resamplings; ++i)
    add(replays, resampled(run, random), run, schedule, machine, options.events);
  return replays;
}

Interval without_extremes(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[1], values[values.size() - 2]};
}

/// Median of `replays`, and the interval that there is.
template <class Figure>
Estimate estimate(const Replays& replays, const Replays& mixed, Figure figure) {
  const auto of = [&](const Replays& from) {
    std::vector<double> values;
    for (std::size_t i = 0; i < from.count(); ++i)
      values.push_back(figure(from, i));
    return values;
  };
  Estimate all = summarise(of(replays));
  if (!all.interval && mixed.count() > 0) {
    const Interval spread = without_extremes(of(mixed));
    all.interval = {std::min(spread.lo, all.value), std::max(spread.hi, all.value)};
  }
  return all;
}

} // namespace

Prediction predict(const MeasuredRun& run, const Schedule& schedule, const Machine& machine,
                   const PredictOptions& options) {
  Replays replays;
  for (const MeasuredRepetition* repetition : most_typical_first(run)) {
    const auto done = static_cast<std::int64_t>(replays.count());
    if (done > 0 && replays.events + replays.events / done > options.budget)
      break;
    add(replays, *repetition, run, schedule, machine, options.events);
  }
  const auto one = replays.events / static_cast<std::int64_t>(replays.count());
  const bool affordable = one <= options.budget / static_cast<std::int64_t>(resamplings);
  const bool alike = std::ranges::all_of(run.repetitions, [&](const MeasuredRepetition& each) {
    return same_calls(each, run.repetitions.front());
  });
  Replays mixed;
  if (replays.count() < fewest_for_interval && run.traced && affordable && alike)
    mixed = resample(run, schedule, machine, options);

  const auto workers = static_cast<double>(machine.workers);
  const auto nodes = static_cast<double>(machine.nodes());
  Prediction prediction{schedule, machine, {}, {}, {}};
  prediction.time_s =
      estimate(replays, mixed, [](const Replays& of, std::size_t i) { return of.time_s[i]; });
  prediction.efficiency = estimate(replays, mixed, [&](const Replays& of, std::size_t i) {
    return of.serial_s[i] / (workers * of.time_s[i]);
  });
  prediction.node_hours = estimate(replays, mixed, [&](const Replays& of, std::size_t i) {
    return nodes * of.time_s[i] / 3600;
  });
  prediction.bound_s = median(replays.bound_s);
  // Sums in another order may fall short of the bound by a rounding.
  prediction.regret = std::max(0.0, estimate(replays, {}, [](const Replays& of, std::size_t i) {
                                      return of.time_s[i] / of.bound_s[i] - 1;
                                    }).value);
  return prediction;
}

const Prediction& best(std::span<const Prediction> predictions) {
  return *std::ranges::min_element(
      predictions, {}, [](const Prediction& prediction) { return prediction.time_s.value; });
}

std::vector<Schedule> all_schedules() {
  std::vector<Schedule> all = {Schedule(Technique::automatic)};
  for (int technique = 0; technique < static_cast<int>(Technique::automatic); ++technique)
    all.emplace_back(static_cast<Technique>(technique));
  return all;
}

namespace {

bool fulfils(const Prediction& prediction, const Wish& wish) {
  return wish.efficiency ? prediction.efficiency.value >= *wish.efficiency
                         : prediction.time_s.value <= wish.deadline_s.value_or(0);
}

/// The fastest prediction for each machine, the smallest machine first.
std::vector<Prediction> best_by_size(std::span<const Prediction> known) {
  std::map<std::int64_t, std::vector<Prediction>> by_workers;
  for (const Prediction& prediction : known)
    by_workers[prediction.machine.workers].push_back(prediction);
  std::vector<Prediction> all;
  for (const auto& [workers, predictions] : by_workers)
    all.push_back(best(predictions));
  return all;
}

/// Between a machine that will do and one that will not, in whole nodes where there are several.
Prediction between(const MeasuredRun& run, const Wish& wish, Prediction good, Machine bad,
                   const PredictOptions& options) {
  const std::int64_t step =
      std::min(good.machine.workers, bad.workers) >= good.machine.workers_a_node
          ? good.machine.workers_a_node
          : 1;
  for (;;) {
    const std::int64_t a = good.machine.workers / step;
    const std::int64_t b = bad.workers / step;
    const auto near = static_cast<std::int64_t>(static_cast<double>(std::min(a, b)) * nodes_apart);
    if (std::abs(a - b) <= std::max<std::int64_t>(near, 1))
      return good;
    Machine middle = good.machine;
    middle.workers = (a + b) / 2 * step;
    const Prediction tried = predict(run, good.schedule, middle, options);
    if (fulfils(tried, wish))
      good = tried;
    else
      bad = middle;
  }
}

} // namespace

std::optional<Prediction> ask(const MeasuredRun& run, const Wish& wish,
                              std::span<const Prediction> known, const PredictOptions& options) {
  std::vector<Prediction> sizes = best_by_size(known);
  if (wish.efficiency) // the largest that has it, else the smallest that meets it
    std::ranges::reverse(sizes);
  const auto found =
      std::ranges::find_if(sizes, [&](const Prediction& each) { return fulfils(each, wish); });
  if (found == sizes.end())
    return std::nullopt;
  if (found == sizes.begin())
    return *found;
  return between(run, wish, *found, std::prev(found)->machine, options);
}

} // namespace cleave
