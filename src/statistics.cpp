#include "cleave/statistics.hpp"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>
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
  const double tail = (1 - confidence) / 2;
  std::size_t l = 0;
  if (n < 16'000) { // 2^-n is a number: the terms one by one, from the one before
    long double term = std::exp2(-static_cast<long double>(n));
    for (long double at_most = term; l < n && at_most <= tail; at_most += term) {
      term *= static_cast<long double>(n - l) / static_cast<long double>(l + 1);
      ++l;
    }
    return l;
  }
  const boost::math::binomial_distribution<double> heads(static_cast<double>(n), 0.5);
  while (l < n && boost::math::cdf(heads, static_cast<double>(l)) <= tail)
    ++l;
  return l;
}

double upper_tail(double z) {
  return std::erfc(z / std::numbers::sqrt2) / 2;
}

/// The sizes of groups of equal values, of those with two or more.
std::vector<double> ties(const std::vector<double>& in_order) {
  std::vector<double> sizes;
  for (auto first = in_order.begin(); first != in_order.end();) {
    const auto last = std::ranges::upper_bound(first, in_order.end(), *first);
    if (last - first > 1)
      sizes.push_back(static_cast<double>(last - first));
    first = last;
  }
  return sizes;
}

/// Sorts by merging. @return the pairs of which the first was the greater: Knight 1966,
/// doi:10.1080/01621459.1966.10480879
std::uint64_t sort_and_count(std::span<double> values) {
  if (values.size() < 2)
    return 0;
  const auto left = values.first(values.size() / 2);
  const auto right = values.subspan(left.size());
  std::uint64_t pairs = sort_and_count(left) + sort_and_count(right);
  for (auto from = left.begin(); const double value : right) {
    from = std::upper_bound(from, left.end(), value);
    pairs += static_cast<std::uint64_t>(left.end() - from);
  }
  std::inplace_merge(values.begin(), right.begin(), values.end());
  return pairs;
}

/// P(X <= k), k = 0, 1, ..., for X whose probability generating function is the product over i of
/// (1 + q + ... + q^(width(i)-1)) / width(i), taken up to `size` terms.
template <class Width>
std::vector<double> cumulated_product(int factors, std::size_t size, Width width) {
  std::vector<double> p(size, 0.0);
  p[0] = 1;
  for (int i = 1; i <= factors; ++i) {
    const auto w = static_cast<std::size_t>(width(i));
    std::vector<double> sums(size + 1, 0.0);
    std::partial_sum(p.begin(), p.end(), sums.begin() + 1);
    for (std::size_t k = 0; k < size; ++k)
      p[k] = (sums[k + 1] - sums[k + 1 - std::min(w, k + 1)]) / static_cast<double>(w);
  }
  std::partial_sum(p.begin(), p.end(), p.begin());
  return p;
}

/// P(U <= k) of Mann and Whitney's U for n and m values without ties.
std::vector<double> u_distribution(std::size_t n, std::size_t m) {
  // Ways to place i of the first among j of the second: (i, u) from (i-1, u-j) and without one.
  const std::size_t size = n * m + 1;
  std::vector<std::vector<double>> p(n + 1, std::vector<double>(size, 0.0));
  p[0][0] = 1;
  for (std::size_t i = 1; i <= n; ++i)
    p[i][0] = 1; // with none of the second
  for (std::size_t j = 1; j <= m; ++j)
    for (std::size_t i = 1; i <= n; ++i) {
      // The largest is of the second (U unchanged) or of the first (which beats all j).
      const double first = static_cast<double>(i) / static_cast<double>(i + j);
      std::vector<double> next(size, 0.0);
      for (std::size_t u = 0; u < size; ++u)
        next[u] = (1 - first) * p[i][u] + (u >= j ? first * p[i - 1][u - j] : 0.0);
      p[i] = std::move(next);
    }
  std::partial_sum(p[n].begin(), p[n].end(), p[n].begin());
  return p[n];
}

constexpr std::size_t most_exact_pairs = 2'500;
constexpr std::size_t most_exact_trend = 100;

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

double mann_whitney_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty())
    return 1;
  const std::vector<double> x = sorted(a);
  double u = 0; // pairs in which b is larger; ties count a half
  for (const double value : b) {
    const auto [first, last] = std::ranges::equal_range(x, value);
    u += static_cast<double>(first - x.begin()) + 0.5 * static_cast<double>(last - first);
  }
  const auto n = static_cast<double>(a.size());
  const auto m = static_cast<double>(b.size());
  std::vector<double> all = x;
  all.insert(all.end(), b.begin(), b.end());
  std::ranges::sort(all);
  const std::vector<double> tied = ties(all);
  const double least = std::min(u, n * m - u);
  if (tied.empty() && a.size() * b.size() <= most_exact_pairs)
    return std::min(2 * u_distribution(a.size(), b.size())[static_cast<std::size_t>(least)], 1.0);
  double correction = 0;
  for (const double t : tied)
    correction += t * t * t - t;
  const double total = n + m;
  const double variance = n * m / 12 * (total + 1 - correction / (total * (total - 1)));
  if (variance <= 0)
    return 1;
  return std::min(2 * upper_tail((n * m / 2 - least - 0.5) / std::sqrt(variance)), 1.0);
}

Shift hodges_lehmann(std::span<const double> a, std::span<const double> b, double confidence) {
  std::vector<double> differences;
  differences.reserve(a.size() * b.size());
  for (const double x : a)
    for (const double y : b)
      differences.push_back(y - x);
  if (differences.empty())
    return {std::numeric_limits<double>::quiet_NaN()};
  std::ranges::sort(differences);
  Shift shift{median(differences)};
  const double tail = (1 - confidence) / 2;
  std::size_t k = 0; // the largest with P(U <= k-1) <= tail
  if (differences.size() <= most_exact_pairs) {
    const std::vector<double> at_most = u_distribution(a.size(), b.size());
    k = static_cast<std::size_t>(std::ranges::upper_bound(at_most, tail) - at_most.begin());
  } else {
    const auto pairs = static_cast<double>(differences.size());
    const double deviation = std::sqrt(pairs * static_cast<double>(a.size() + b.size() + 1) / 12);
    const double z = boost::math::quantile(boost::math::normal_distribution<double>(), tail);
    k = static_cast<std::size_t>(std::max(pairs / 2 + z * deviation, 0.0));
  }
  if (k > 0)
    shift.interval = Interval{differences[k - 1], differences[differences.size() - k]};
  return shift;
}

double trend_p(std::span<const double> values) {
  const std::size_t n = values.size();
  if (n < 3)
    return 1;
  std::vector<double> in_order(values.begin(), values.end());
  const auto falling = static_cast<double>(sort_and_count(in_order));
  const std::vector<double> tied = ties(in_order);
  const auto count = static_cast<double>(n);
  const double pairs = count * (count - 1) / 2;
  double s = pairs - 2 * falling; // rising less falling pairs
  for (const double t : tied)
    s -= t * (t - 1) / 2;
  if (tied.empty() && n <= most_exact_trend) {
    // The pairs in the rarer order have the distribution of inversions.
    const auto inversions = static_cast<std::size_t>((pairs - std::abs(s)) / 2);
    const auto at_most =
        cumulated_product(static_cast<int>(n), inversions + 1, [](int i) { return i; });
    return std::min(2 * at_most[inversions], 1.0);
  }
  double variance = count * (count - 1) * (2 * count + 5);
  for (const double t : tied)
    variance -= t * (t - 1) * (2 * t + 5);
  if (variance <= 0)
    return 1;
  return std::min(2 * upper_tail((std::abs(s) - 1) / std::sqrt(variance / 18)), 1.0);
}

double imbalance_percent(std::span<const double> values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  if (sum <= 0)
    return 0;
  const double mean = sum / static_cast<double>(values.size());
  return (std::ranges::max(values) / mean - 1) * 100;
}

} // namespace cleave
