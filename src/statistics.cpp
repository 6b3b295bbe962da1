#include "cleave/statistics.hpp"

#include <boost/math/distributions/binomial.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace cleave {
namespace {

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  std::ranges::sort(copy);
  return copy;
}

// The largest l of the doc comment in the header; 0 when even [x(1), x(n)] covers too little.
std::size_t lower_order(std::size_t n, double confidence) {
  const boost::math::binomial_distribution<double> heads(static_cast<double>(n), 0.5);
  const double tail = (1 - confidence) / 2;
  std::size_t l = 0;
  while (l < n && boost::math::cdf(heads, static_cast<double>(l)) <= tail)
    ++l;
  return l;
}

} // namespace

double median(std::span<const double> values) {
  if (values.empty())
    return std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> x = sorted(values);
  const std::size_t middle = x.size() / 2;
  return x.size() % 2 != 0 ? x[middle] : std::midpoint(x[middle - 1], x[middle]);
}

std::optional<Interval> median_interval(std::span<const double> values, double confidence) {
  const std::size_t l = values.empty() ? 0 : lower_order(values.size(), confidence);
  if (l == 0)
    return std::nullopt;
  const std::vector<double> x = sorted(values);
  return Interval{x[l - 1], x[x.size() - l]};
}

double imbalance_percent(std::span<const double> values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  if (sum <= 0)
    return 0;
  const double mean = sum / static_cast<double>(values.size());
  return (std::ranges::max(values) / mean - 1) * 100;
}

} // namespace cleave
