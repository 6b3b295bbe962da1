/// @file
/// The figures and rules that drawn schedules rest on, for those who draw and those who predict it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace cleave::pacing {

/// What `auto` lets a chunk take: long beside a draw (0.1 us), short beside any call that is worth
/// a thought.
inline constexpr std::int64_t chunk_ns = 50'000;

/// How many tasks the worker's next chunk may have under `auto`, where its last one, of so many
/// tasks, took so long: at most twice as many, since how long the next tasks take is a guess.
[[nodiscard]] inline std::int64_t most_after(std::int64_t tasks, double spent_ns) noexcept {
  const double fit = double{chunk_ns} * static_cast<double>(tasks) / std::max(spent_ns, 1.0);
  const double most = std::min({2 * static_cast<double>(tasks), fit, 0x1p62}); // fits in 64 bits
  return std::max(std::int64_t{1}, static_cast<std::int64_t>(most));
}

/// Weighted and adaptive compare speeds about this often.
inline constexpr std::int64_t weigh_ns = 200'000;

/// The speed of a worker relative to the mean of those that are known, itself included.
[[nodiscard]] inline double weight_of(double rate, double sum_of_rates, int known) noexcept {
  return rate * known / sum_of_rates;
}

// Worth to be drawn first the next time: chunks that take long, and a share of a worker's time that
// the others would wait for when it came last.
inline constexpr std::int64_t dear_ns = 8 * chunk_ns;
inline constexpr double dear_share = 1.0 / 256;
inline constexpr std::size_t most_dear = 16; // of a worker
/// Into how many, of equal cost, a call is cut whose costs are known or remembered.
inline constexpr double chunks_a_worker = 128;

// Naps that cost a worker's core under 2 % of it where each costs 30 us, as on virtual machines.
inline constexpr std::int64_t shortest_nap_ns = 250'000;    // while the node has work
inline constexpr std::int64_t longest_idle_ns = 10'000'000; // between looks at who has left
/// What a node has left must last until a request for more and its answer have each been slept
/// over, and a little.
inline constexpr std::int64_t reserve_ns = 4'000'000;
/// A super-chunk is worth its messages.
inline constexpr std::int64_t shortest_grant_ns = 2'000'000;

} // namespace cleave::pacing
