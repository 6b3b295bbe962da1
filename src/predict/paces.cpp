#include "../schedule_pacing.hpp"
#include "replay.hpp"

#include <algorithm>
#include <utility>

namespace cleave::predict_detail {
namespace {

constexpr double dear_s = 1e-9 * pacing::dear_ns;
constexpr double weigh_s = 1e-9 * pacing::weigh_ns;
// Beyond it the memory would cost more than it saves, here as there.
constexpr std::size_t most_remembered = 1'000'000;

bool weighs(Technique technique) {
  return technique == Technique::weighted || technique == Technique::adaptive;
}

} // namespace

Paces::Paces(Technique technique, const Machine& machine, std::vector<float> weights)
    : technique_(technique), workers_a_node_(machine.workers_a_node), weights_(std::move(weights)) {
  if (weighs(technique) || technique == Technique::automatic)
    hands_.resize(static_cast<std::size_t>(machine.workers));
  if (!weighs(technique))
    return;
  weights_.resize(static_cast<std::size_t>(machine.workers), 1);
  now_ = weights_;
  gauges_.resize(static_cast<std::size_t>(machine.nodes()));
}

Pace Paces::next(std::int64_t worker) {
  if (hands_.empty())
    return {};
  const auto at = static_cast<std::size_t>(worker);
  Hand& hand = hands_[at];
  if (technique_ == Technique::automatic)
    return {.weight = 1, .most = hand.most};
  hand.paced_s += std::exchange(hand.spent_s, 0);
  hand.paced_units += std::exchange(hand.units, 0);
  if (hand.paced_s - hand.weighed_s >= weigh_s)
    weigh(worker);
  return {.weight =
              static_cast<double>(technique_ == Technique::adaptive ? now_[at] : weights_[at])};
}

void Paces::weigh(std::int64_t worker) {
  Hand& hand = hands_[static_cast<std::size_t>(worker)];
  Gauges& gauges = gauges_[static_cast<std::size_t>(worker / workers_a_node_)];
  hand.weighed_s = hand.paced_s;
  const double rate = static_cast<double>(hand.paced_units) / hand.paced_s;
  gauges.known += hand.rate == 0 ? 1 : 0;
  gauges.sum += rate - std::exchange(hand.rate, rate);
  now_[static_cast<std::size_t>(worker)] =
      static_cast<float>(pacing::weight_of(rate, gauges.sum, gauges.known));
}

void Paces::took(std::int64_t worker, const Draw& draw, double seconds) {
  if (hands_.empty())
    return;
  Hand& hand = hands_[static_cast<std::size_t>(worker)];
  hand.units = std::max<std::int64_t>(draw.chunk.size() / draw.draws, 1);
  hand.spent_s = seconds;
  if (weighs(technique_)) {
    hand.units = draw.chunk.size();
    return;
  }
  if (draw.draws == 1 && seconds > dear_s && dear_.size() < most_remembered)
    dear_.push_back({worker, {draw.chunk, seconds}});
  const double share = static_cast<double>(hand.units) / static_cast<double>(draw.chunk.size());
  hand.most = pacing::most_after(hand.units, 1e9 * seconds * share);
}

std::vector<CostedChunk> Paces::dear() const {
  if (dear_.size() >= most_remembered)
    return {};
  auto all = dear_;
  std::ranges::sort(all, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.second.cost > b.second.cost;
  });
  std::vector<CostedChunk> kept;
  std::size_t of_worker = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    of_worker = i > 0 && all[i].first == all[i - 1].first ? of_worker + 1 : 0;
    if (of_worker < pacing::most_dear)
      kept.push_back(all[i].second);
  }
  return kept;
}

} // namespace cleave::predict_detail
