/// @file
/// The check of the workload squares.
#pragma once

#include "cleave/workload.hpp"

#include <cstdint>
#include <span>

namespace cleave::squares {

/// Whether `values` are the squares of 0 ... n-1, without squaring: neighbouring squares differ by
/// the odd numbers. Local, thread-safe.
[[nodiscard]] Verdict check(std::int64_t n, std::span<const std::int64_t> values);

} // namespace cleave::squares
