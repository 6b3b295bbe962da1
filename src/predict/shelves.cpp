#include "../schedule_pacing.hpp"
#include "replay.hpp"

#include <algorithm>
#include <utility>

namespace cleave::predict_detail {
namespace {

constexpr double reserve_s = 1e-9 * pacing::reserve_ns;
constexpr double shortest_s = 1e-9 * pacing::shortest_grant_ns;
constexpr double shortest_nap_s = 1e-9 * pacing::shortest_nap_ns;
constexpr double longest_idle_s = 1e-9 * pacing::longest_idle_ns;
constexpr double auto_chunk_s = 1e-9 * pacing::chunk_ns;
// Batches are at most this part of a worker's share of what is left, so that the rest evens them
// out.
constexpr std::int64_t part_of_share = 8;

/// Chunks that there will be where their size is bounded; 0 where they are few.
double expected_chunks(const CostProfile& costs, const Schedule& schedule) {
  const auto units = static_cast<double>(costs.units());
  if (schedule.technique() == Technique::dynamic)
    return units / static_cast<double>(schedule.chunk());
  if (schedule.technique() == Technique::automatic)
    return std::min(units, costs.total_s() / auto_chunk_s);
  return 0;
}

} // namespace

Shelves::Shelves(const CostProfile& costs, const Schedule& schedule, const Machine& machine,
                 const ReplayCosts& overheads, std::int64_t events)
    : sequence_(costs.units(), machine.workers, schedule), chunk_(schedule.chunk()),
      machine_(machine), overheads_(overheads), shelves_(static_cast<std::size_t>(machine.nodes())),
      undrawn_(costs.units()) {
  const double chunks = expected_chunks(costs, schedule);
  coarseness_ = std::max<std::int64_t>(
      1,
      static_cast<std::int64_t>(chunks / static_cast<double>(std::max<std::int64_t>(events, 1))));
  if (shelves_.size() == 1)
    shelves_.front() = {.units = {0, costs.units()}, .size = costs.units(), .over = true};
}

std::int64_t Shelves::workers_on(std::int64_t node) const noexcept {
  return std::min(machine_.workers_a_node, machine_.workers - node * machine_.workers_a_node);
}

/// How many chunks are drawn at once.
std::int64_t Shelves::batch(std::int64_t size) const noexcept {
  if (coarseness_ == 1)
    return 1;
  const std::int64_t share = undrawn_ / (part_of_share * machine_.workers);
  return std::clamp<std::int64_t>(share / std::max<std::int64_t>(size, 1), 1, coarseness_);
}

Draw Shelves::draw(std::int64_t node, double now_s, Pace pace) {
  Shelf& shelf = shelves_[static_cast<std::size_t>(node)];
  if (shelves_.size() > 1)
    supply(shelf, node, now_s);
  if (shelf.units.empty())
    return {.time_s = shelf.over ? std::numeric_limits<double>::infinity() : shelf.reserve_s};
  const ChunkSequence sequence =
      shelves_.size() == 1 ? sequence_ : sequence_.resized(shelf.size, workers_on(node));
  const std::int64_t done = shelf.size - shelf.units.size();
  const std::int64_t usual = sequence_.technique() == Technique::automatic ? pace.most : chunk_;
  const std::int64_t draws = batch(usual);
  TaskRange chunk;
  if (draws == 1 || sequence_.technique() == Technique::automatic) {
    pace.most = pace.most > std::numeric_limits<std::int64_t>::max() / draws ? pace.most
                                                                             : pace.most * draws;
    chunk = sequence.chunk_from(done, pace);
  } else {
    chunk = {done, done + std::min(draws * chunk_, shelf.units.size())};
  }
  const std::int64_t first = shelf.units.first;
  shelf.units.first += chunk.size();
  undrawn_ -= chunk.size();
  const bool own_lane = shelves_.size() == 1 && sequence_.fixed_chunk() > 0;
  const double begin_s = own_lane ? now_s : std::max(now_s, shelf.counter_s);
  const auto count = static_cast<double>(draws);
  shelf.counter_s = begin_s + count * overheads_.draw_s;
  return {{first, first + chunk.size()}, begin_s + count * overheads_.chunk_s, draws};
}

/// Sees to it that the node gets its next super-chunk in time.
void Shelves::supply(Shelf& shelf, std::int64_t node, double now_s) {
  if (shelf.units.empty() && !shelf.reserve.empty() && shelf.reserve_s <= now_s) {
    shelf.units = std::exchange(shelf.reserve, {});
    shelf.size = shelf.units.size();
  }
  if (shelf.over || !shelf.reserve.empty())
    return;
  const std::int64_t left = shelf.units.size();
  if (left > 0 && now_s < shelf.look_s) // the leader sleeps
    return;
  now_s = std::max(now_s, shelf.look_s);
  const double spent_s = now_s - shelf.since_s;
  const double rate =
      shelf.taken > 0 && spent_s > 0 ? static_cast<double>(shelf.taken - left) / spent_s : 0;
  if (left > 0 && static_cast<double>(left) >= rate * reserve_s) {
    const double spare_s = rate > 0 ? static_cast<double>(left) / rate - reserve_s : 0;
    shelf.look_s = now_s + std::clamp(spare_s / 2, shortest_nap_s, longest_idle_s);
    return;
  }
  tell_rate(shelf, rate);
  const TaskRange units = grant(shelf, node);
  const double nap_s = shelf.taken > 0 ? overheads_.nap_s : 0; // at first nobody sleeps
  const bool own = node == 0;
  const double come_s = now_s + nap_s + (own ? 0 : overheads_.message_s);
  root_free_s_ = std::max(root_free_s_, come_s) + (own ? 0 : 2 * overheads_.request_s);
  shelf.reserve_s = own ? come_s : root_free_s_ + overheads_.message_s + nap_s;
  shelf.over = units.empty();
  shelf.reserve = units;
  if (shelf.taken == 0) {
    shelf.since_s = shelf.reserve_s;
    shelf.look_s = shelf.since_s + shortest_nap_s;
  }
  shelf.taken += units.size();
}

void Shelves::tell_rate(Shelf& shelf, double rate) {
  rates_known_ += (rate > 0 ? 1 : 0) - (shelf.rate > 0 ? 1 : 0);
  rates_ += rate - std::exchange(shelf.rate, rate);
}

/// Half of the node's share of what is left, but as much as is worth the messages.
TaskRange Shelves::grant(const Shelf& shelf, std::int64_t node) {
  const bool known = std::cmp_equal(rates_known_, shelves_.size());
  const double share =
      known ? shelf.rate / rates_
            : static_cast<double>(workers_on(node)) / static_cast<double>(machine_.workers);
  const std::int64_t left = sequence_.tasks() - granted_;
  const double wanted = std::max(static_cast<double>(left) * share / 2, shelf.rate * shortest_s);
  const std::int64_t size =
      wanted >= static_cast<double>(left)
          ? left
          : std::clamp<std::int64_t>(static_cast<std::int64_t>(wanted), 1, left);
  granted_ += size;
  return {granted_ - size, granted_};
}

} // namespace cleave::predict_detail
