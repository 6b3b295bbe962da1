/// @file
/// What every Pool must do at every layout, schedule and data path. Each check is collective and
/// uses only EXPECT_, so that no rank leaves the others waiting.
#pragma once

#include "cleave/pool.hpp"

#include <boost/serialization/string.hpp>

#include <string>

namespace cleave::testing {

/// A user's class, archived by Boost.Serialization.
struct Word {
  std::string text;
  int count = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& text& count;
  }
  friend bool operator==(const Word&, const Word&) = default;
};

/// Root has `input`, the others nothing: nobody but root may read it.
template <class T>
[[nodiscard]] std::vector<T> at_root(const Pool& pool, std::vector<T> input) {
  return pool.is_root() ? std::move(input) : std::vector<T>();
}

/// 0, 1, ... n - 1 as T, at root.
template <class T>
[[nodiscard]] std::vector<T> numbers(const Pool& pool, std::int64_t n) {
  std::vector<T> all;
  for (std::int64_t i = 0; pool.is_root() && i < n; ++i)
    all.push_back(static_cast<T>(i));
  return all;
}

/// map, starmap, map_view, stream, and the options of calls.
void check_maps(Pool& pool);
void check_map_bands(Pool& pool);
/// map_reduce and reduce_ranges.
void check_reductions(Pool& pool);
/// share, from_root, scatter, gather and what is done to Distributed data.
void check_data(Pool& pool);
/// Tasks that throw, and map_collect.
void check_failures(Pool& pool);
/// Ranks that do not make the same call.
void check_disagreements(Pool& pool);
/// Random numbers: the same at every layout. Makes Pools of its own with the options of `pool`.
void check_random(Pool& pool);
/// The phases, counters and the trace of a repetition. Makes a Pool of its own.
void check_timings(Pool& pool);
/// How `auto`, weighted and adaptive size chunks by the speed of tasks and workers. Makes Pools of
/// its own.
void check_paces(Pool& pool);

/// All of the above on one Pool.
void check_pool(const Comm& comm, const PoolOptions& options);

} // namespace cleave::testing
