/// @file
/// The kernel of NAS EP ("embarrassingly parallel", the NAS Parallel Benchmarks, RNR-94-007):
/// counts and sums over pairs of Gaussian deviates made from one sequence of uniform numbers.
///
/// x(0) = 271828183, x(k+1) = 5^13 x(k) mod 2^46, r(k) = x(k) / 2^46. Pair j of u = 2 r(2j+1) - 1
/// and v = 2 r(2j+2) - 1 is accepted when t = u^2 + v^2 <= 1 and gives the deviates X = u f, Y = v
/// f, f = sqrt(-2 ln t / t).
#pragma once

#include "cleave/workload.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace cleave::ep {

/// What a range of pairs adds up to.
struct Sums {
  double x = 0;                          ///< of the X of accepted pairs
  double y = 0;                          ///< of their Y
  std::array<std::int64_t, 10> counts{}; ///< accepted pairs with floor(max(|X|, |Y|)) = 0 ... 9
  std::int64_t accepted = 0;

  Sums& operator+=(const Sums& other) noexcept;
  friend bool operator==(const Sums&, const Sums&) = default;
};

/// Pairs of one task: the sequence is cut into batches of these.
inline constexpr std::int64_t batch_pairs = 65'536;

/// Sums over the pairs [first, first + pairs), any of the sequence's 2^45, by the best instruction
/// set that cleave/simd.hpp leaves: counts are the same for all of them, last bits of the sums are
/// not. Local, thread-safe. About 1.8 ns a pair and core with AVX-512.
/// @param pairs >= 0, a multiple of batch_pairs
[[nodiscard]] Sums sums_of_pairs(std::int64_t first, std::int64_t pairs);

/// Compares the sums of a whole class (S, W, A ... E) with the published ones: sx and sy to 1e-8,
/// as NPB does, counts exactly where they are published, and their sum with the accepted pairs.
/// Local.
[[nodiscard]] Verdict check(std::string_view class_name, const Sums& sums);

} // namespace cleave::ep
