/// @file
/// EP as a plain loop: the baseline of the EP benches and the reference of its tests.
#pragma once

#include "jobs/ep.hpp"

#include <cstdint>

namespace bench {

/// What cleave::ep::sums_of_pairs computes, one pair after the other: a 64-bit integer generator,
/// libm's logarithm, no vectors.
[[nodiscard]] cleave::ep::Sums plain_sums_of_pairs(std::int64_t first, std::int64_t pairs);

} // namespace bench
