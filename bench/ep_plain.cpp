#include "ep_plain.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace bench {
namespace {

constexpr std::uint64_t mask = (std::uint64_t{1} << 46) - 1;
constexpr std::uint64_t multiplier = 1'220'703'125;

std::uint64_t skip(std::uint64_t x, std::uint64_t steps) {
  for (std::uint64_t factor = multiplier; steps != 0; steps /= 2, factor = factor * factor & mask)
    if (steps % 2 == 1)
      x = x * factor & mask;
  return x;
}

} // namespace

cleave::ep::Sums plain_sums_of_pairs(std::int64_t first, std::int64_t pairs) {
  cleave::ep::Sums sums;
  std::uint64_t x = skip(271'828'183, 2 * static_cast<std::uint64_t>(first));
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    x = x * multiplier & mask;
    const double u = 2 * (static_cast<double>(x) * 0x1p-46) - 1;
    x = x * multiplier & mask;
    const double v = 2 * (static_cast<double>(x) * 0x1p-46) - 1;
    const double t = u * u + v * v;
    if (t <= 1) {
      const double f = std::sqrt(-2 * std::log(t) / t);
      sums.x += u * f;
      sums.y += v * f;
      ++sums.counts[static_cast<std::size_t>(std::max(std::abs(u * f), std::abs(v * f)))];
      ++sums.accepted;
    }
  }
  return sums;
}

} // namespace bench
