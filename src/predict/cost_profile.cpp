#include "cleave/error.hpp"
#include "cleave/predict.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <utility>

namespace cleave {
namespace {

constexpr std::int64_t stretch_count = 64; // of a profile, each from one repetition
constexpr int neighbours = 4;              // on each side, whose cost a chunk may get

/// @throws Error where a chunk does not begin at the end of the one before it
void check_begin(const TaskRange& chunk, std::int64_t covered) {
  if (chunk.first != covered)
    throw Error(ErrorKind::bad_input, "chunks must cover all tasks once each, but task " +
                                          std::to_string(std::min(chunk.first, covered)) +
                                          (chunk.first < covered ? " is in two" : " is in none"));
}

double shape_at(const CostProfile& profile, std::int64_t unit, std::int64_t moved) {
  const auto knots = profile.knots();
  const auto chunks = std::ssize(knots) - 1;
  const auto next = std::ranges::upper_bound(knots, unit, {}, &CostProfile::Knot::first);
  const auto own = std::ranges::distance(knots.begin(), next) - 1;
  const auto at = std::clamp(own + moved, std::ptrdiff_t{0}, chunks - 1);
  return knots[static_cast<std::size_t>(at)].each_s;
}

} // namespace

CostProfile::CostProfile(std::int64_t units, double seconds) {
  const double each_s = units > 0 ? seconds / static_cast<double>(units) : 0;
  knots_ = {{0, 0, each_s}};
  if (units > 0)
    knots_.push_back({units, seconds, 0});
  longest_s_ = each_s;
  index();
}

CostProfile::CostProfile(std::vector<CostedChunk> chunks) {
  std::erase_if(chunks, [](const CostedChunk& chunk) { return chunk.tasks.empty(); });
  std::ranges::sort(chunks, {}, [](const CostedChunk& chunk) { return chunk.tasks.first; });
  knots_.reserve(chunks.size() + 1);
  knots_.push_back({});
  for (const CostedChunk& chunk : chunks) {
    Knot& knot = knots_.back();
    check_begin(chunk.tasks, knot.first);
    knot.each_s = chunk.cost / static_cast<double>(chunk.tasks.size());
    longest_s_ = std::max(longest_s_, knot.each_s);
    knots_.push_back({chunk.tasks.last, knot.before_s + chunk.cost, 0});
  }
  index();
}

CostProfile CostProfile::stretched(std::int64_t wanted) const {
  const double ratio = static_cast<double>(wanted) / static_cast<double>(units());
  std::vector<CostedChunk> chunks;
  std::int64_t covered = 0;
  for (std::size_t k = 0; k + 1 < knots_.size(); ++k) {
    const bool last = k + 2 == knots_.size();
    const auto end = last ? wanted : std::llround(static_cast<double>(knots_[k + 1].first) * ratio);
    chunks.push_back({{covered, end}, knots_[k].each_s * static_cast<double>(end - covered)});
    covered = end;
  }
  return CostProfile(std::move(chunks));
}

/// About two knots a bucket where chunks are alike.
void CostProfile::index() {
  const auto wanted = std::max<std::int64_t>(std::ssize(knots_) / 2, 1);
  while (units() >> shift_ > wanted)
    ++shift_;
  std::uint32_t knot = 0;
  for (std::int64_t begin = 0; begin <= units(); begin += std::int64_t{1} << shift_) {
    while (knot + 1 < knots_.size() && knots_[knot + 1].first <= begin)
      ++knot;
    buckets_.push_back(knot);
  }
  buckets_.push_back(static_cast<std::uint32_t>(knots_.size() - 1));
}

double CostProfile::before_s(std::int64_t unit) const noexcept {
  const auto bucket = static_cast<std::size_t>(unit >> shift_);
  const auto from = knots_.begin() + buckets_[bucket];
  const auto to = knots_.begin() + buckets_[bucket + 1] + 1;
  const auto next = std::upper_bound(
      from, to, unit, [](std::int64_t wanted, const Knot& knot) { return wanted < knot.first; });
  const Knot& knot = *std::prev(next);
  return knot.before_s + static_cast<double>(unit - knot.first) * knot.each_s;
}

CostProfile resampled(std::span<const CostProfile* const> profiles, std::mt19937_64& random) {
  const std::int64_t units = profiles.front()->units();
  std::uniform_int_distribution<std::size_t> any(0, profiles.size() - 1);
  std::uniform_int_distribution<std::int64_t> near(-neighbours, neighbours);
  std::vector<CostedChunk> chunks;
  for (std::int64_t stretch = 0; stretch < stretch_count; ++stretch) {
    const TaskRange range = block_range(units, stretch_count, stretch);
    const CostProfile& from = *profiles[any(random)];
    for (std::int64_t first = range.first; first < range.last;) {
      const auto next =
          std::ranges::upper_bound(from.knots(), first, {}, &CostProfile::Knot::first);
      const std::int64_t last = std::min(range.last, next->first);
      const double each_s = shape_at(from, first, near(random));
      chunks.push_back({{first, last}, each_s * static_cast<double>(last - first)});
      first = last;
    }
  }
  return CostProfile(std::move(chunks));
}

double clairvoyant_s(const CostProfile& costs, const Machine& machine) noexcept {
  return std::max(costs.total_s() / static_cast<double>(machine.workers), costs.longest_s());
}

} // namespace cleave
