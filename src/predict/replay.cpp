#include "replay.hpp"

#include "../schedule_pacing.hpp"
#include "cleave/predict.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace cleave {
namespace {

using namespace predict_detail;

// Chunks of a first call beyond which no second one is replayed: so many even out by themselves.
constexpr std::int64_t most_to_learn_from = 5'000'000;

/// One contiguous piece a worker.
double block_s(const CostProfile& costs, const Machine& machine, const ReplayCosts& overheads) {
  double longest_s = 0;
  for (std::int64_t w = 0; w < std::min(machine.workers, costs.units()); ++w)
    longest_s = std::max(longest_s, costs.cost_s(block_range(costs.units(), machine.workers, w)));
  return longest_s + overheads.chunk_s;
}

/// Chunks of k in turn. Worker w has F(x, w) of the first x units, with c whole rounds in x: c k,
/// and k more, a part of k or none by where w stands in the last round. Between knots each unit
/// costs the same, so that its time is the sum over knots x of F(x, w) times the fall of costs at
/// x: O(knots + workers), however many chunks there are.
double cyclic_s(const CostProfile& costs, std::int64_t chunk, const Machine& machine,
                const ReplayCosts& overheads) {
  const std::int64_t k = std::min(chunk, std::max<std::int64_t>(costs.units(), 1));
  const std::int64_t chunks = (costs.units() + k - 1) / k;
  const std::int64_t workers = std::min(machine.workers, std::max<std::int64_t>(chunks, 1));
  const std::int64_t round = chunks <= machine.workers ? costs.units() + 1 : k * machine.workers;
  std::vector<double> steps(static_cast<std::size_t>(workers) + 1); // of a sum over workers
  std::vector<double> single(static_cast<std::size_t>(workers) + 1);
  double before_s = 0;
  for (const CostProfile::Knot& knot : costs.knots()) {
    const double fall_s = std::exchange(before_s, knot.each_s) - knot.each_s;
    const auto at = static_cast<std::size_t>(knot.first % round / k);
    const std::int64_t rounds = knot.first / round + 1; // the last is cut short by the next line
    steps[0] += fall_s * static_cast<double>(k) * static_cast<double>(rounds);
    steps[at] -= fall_s * static_cast<double>(k);
    single[at] += fall_s * static_cast<double>(knot.first % round % k);
  }
  double longest_s = 0;
  double sum_s = 0;
  for (std::int64_t w = 0; w < workers; ++w) {
    sum_s += steps[static_cast<std::size_t>(w)];
    const std::int64_t own = (chunks - w + workers - 1) / workers;
    longest_s = std::max(longest_s, sum_s + single[static_cast<std::size_t>(w)] +
                                        static_cast<double>(own) * overheads.chunk_s);
  }
  return longest_s;
}

/// A call in which workers draw their chunks.
struct Play {
  Replayed replayed;
  std::vector<float> weights;
  std::vector<CostedChunk> dear;
};

Play play(const CostProfile& costs, const Schedule& schedule, const Machine& machine,
          const ReplayCosts& overheads, std::int64_t events, std::vector<float> weights = {}) {
  FreeWorkers workers(machine.workers);
  Paces paces(schedule.technique(), machine, std::move(weights));
  Shelves shelves(costs, schedule, machine, overheads, events);
  Play done;
  while (!workers.empty() && !shelves.empty()) {
    const auto [now_s, worker] = workers.first();
    const Draw draw = shelves.draw(worker / machine.workers_a_node, now_s, paces.next(worker));
    if (draw.chunk.empty()) {
      if (std::isinf(draw.time_s))
        workers.remove_first();
      else
        workers.delay_first(draw.time_s);
      continue;
    }
    const double spent_s = costs.cost_s(draw.chunk);
    const double end_s = draw.time_s + spent_s;
    paces.took(worker, draw, spent_s);
    workers.delay_first(end_s);
    done.replayed.time_s = std::max(done.replayed.time_s, end_s);
    ++done.replayed.events;
  }
  done.weights = paces.weights();
  done.dear = paces.dear();
  const double worker_s = costs.total_s() / static_cast<double>(machine.workers);
  std::erase_if(done.dear, [worker_s](const CostedChunk& chunk) { // as Engine::pull
    return chunk.cost < pacing::dear_share * worker_s;
  });
  return done;
}

/// The second call under `auto`, when root knows the long chunks of the first: they come first, and
/// what is left in chunks as Engine::learn cuts it.
Replayed by_memory(const CostProfile& costs, const Play& first, const Machine& machine,
                   const ReplayCosts& overheads, std::int64_t events) {
  double rest_s = costs.total_s();
  std::int64_t rest = costs.units();
  for (const CostedChunk& chunk : first.dear) {
    rest_s -= chunk.cost;
    rest -= chunk.tasks.size();
  }
  const double share_s = rest_s / (pacing::chunks_a_worker * static_cast<double>(machine.workers));
  const double each_s = rest_s / static_cast<double>(std::max<std::int64_t>(rest, 1));
  const double size = std::max(share_s, 1e-9 * pacing::chunk_ns) / std::max(each_s, 1e-9) + 1;
  const auto whole = static_cast<std::int64_t>(std::min(size, static_cast<double>(costs.units())));
  std::vector<CostedChunk> list;
  for (const TaskRange chunk :
       chunks_dearest_first(costs.units(), first.dear, std::max<std::int64_t>(whole, 1))) {
    const std::int64_t number = std::ssize(list);
    list.push_back({{number, number + 1}, costs.cost_s(chunk)});
  }
  return play(CostProfile(std::move(list)), Schedule(Technique::dynamic), machine, overheads,
              events)
      .replayed;
}

Replayed drawn(const CostProfile& costs, const Schedule& schedule, const Machine& machine,
               const ReplayCosts& overheads, std::int64_t events) {
  Play first = play(costs, schedule, machine, overheads, events);
  const std::int64_t before = first.replayed.events;
  Replayed last = first.replayed;
  if (before > most_to_learn_from)
    return last;
  if (schedule.technique() == Technique::automatic && !first.dear.empty())
    last = by_memory(costs, first, machine, overheads, events);
  else if (!first.weights.empty())
    last = play(costs, schedule, machine, overheads, events, std::move(first.weights)).replayed;
  else
    return last;
  last.events += before;
  return last;
}

/// Opening and closing a call over a tree of nodes, and root's messages to and from those who
/// gather: the leader of each node, or under a static schedule every rank.
double joining_s(bool is_static, const Machine& machine, const ReplayCosts& overheads) {
  const std::int64_t nodes = machine.nodes();
  if (nodes == 1)
    return 0;
  const auto levels = std::bit_width(static_cast<std::uint64_t>(nodes - 1));
  const std::int64_t senders = is_static ? machine.workers - machine.workers_a_node : nodes - 1;
  return 4 * static_cast<double>(levels) * overheads.message_s +
         static_cast<double>(senders) * overheads.request_s;
}

} // namespace

Replayed replay(const CostProfile& costs, const Schedule& schedule, const Machine& machine,
                const ReplayCosts& overheads, std::int64_t events) {
  Replayed replayed;
  if (schedule.technique() == Technique::block)
    replayed.time_s = block_s(costs, machine, overheads);
  else if (schedule.technique() == Technique::cyclic)
    replayed.time_s = cyclic_s(costs, schedule.chunk(), machine, overheads);
  else
    replayed = drawn(costs, schedule, machine, overheads, events);
  const bool is_static = schedule.technique() <= Technique::cyclic;
  replayed.time_s += joining_s(is_static, machine, overheads);
  return replayed;
}

} // namespace cleave
