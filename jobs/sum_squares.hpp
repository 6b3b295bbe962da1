/// @file
/// The kernel of the workload sum_squares, exact sums of squares term by term, and its check.
#pragma once

#include "cleave/workload.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace cleave::sum_squares {

using Uint128 = __uint128_t; // of g++ and clang

/// The most numbers that a sum may run over: 10^12, whose squares add up to 3.3 * 10^35 < 2^128.
inline constexpr std::int64_t max_n = 1'000'000'000'000;

/// The sum of i^2 over first <= i < last, adding up every square. Local, thread-safe. About 0.2 ns
/// a number and core with AVX-512.
/// @pre 0 <= first, last <= max_n
[[nodiscard]] Uint128 sum_of_squares(std::int64_t first, std::int64_t last);

/// The sum of i^2 over 0 <= i < n by the closed form (n-1) n (2n-1) / 6. Local, thread-safe.
/// @pre 0 <= n <= max_n
[[nodiscard]] constexpr Uint128 closed_form(std::int64_t n) noexcept {
  if (n == 0)
    return 0;
  const auto wide = static_cast<Uint128>(n);
  // At most 2 * 10^36 before the division by 3, which is far from 2^128.
  return (wide - 1) * wide / 2 * (2 * wide - 1) / 3;
}

/// Compares each sum with the closed form, exactly. Local, thread-safe.
[[nodiscard]] Verdict check(std::span<const std::int64_t> n, std::span<const Uint128> sums);

/// Decimal digits. Local, thread-safe.
[[nodiscard]] std::string decimal(Uint128 value);

} // namespace cleave::sum_squares
