#include "cleave/scaling.hpp"

#include "cleave/error.hpp"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace cleave {
namespace {

using Matrix = std::vector<std::vector<double>>;

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Of a symmetric positive definite matrix of a few rows: Gauss and Jordan, without pivots, which
/// such a matrix does not need.
Matrix inverse(Matrix a) {
  const std::size_t n = a.size();
  Matrix inverted(n, std::vector<double>(n));
  for (std::size_t i = 0; i < n; ++i)
    inverted[i][i] = 1;
  for (std::size_t column = 0; column < n; ++column) {
    const double pivot = a[column][column];
    for (std::size_t j = 0; j < n; ++j) {
      a[column][j] /= pivot;
      inverted[column][j] /= pivot;
    }
    for (std::size_t row = 0; row < n; ++row) {
      if (row == column)
        continue;
      const double factor = a[row][column];
      for (std::size_t j = 0; j < n; ++j) {
        a[row][j] -= factor * a[column][j];
        inverted[row][j] -= factor * inverted[column][j];
      }
    }
  }
  return inverted;
}

std::vector<double> times(const Matrix& matrix, std::span<const double> vector) {
  std::vector<double> product;
  for (const std::vector<double>& row : matrix)
    product.push_back(dot(row, vector));
  return product;
}

Scaling scaled(const ScalingPoint& point, double speedup, std::optional<Interval> interval) {
  const double p = point.workers;
  Scaling scaling{.speedup = {speedup, interval}, .efficiency = {speedup / p, {}}};
  if (interval)
    scaling.efficiency.interval = Interval{interval->lo / p, interval->hi / p};
  if (p > 1)
    scaling.karp_flatt = (1 / speedup - 1 / p) / (1 - 1 / p);
  return scaling;
}

/// factor a/b, with its interval where both have one and they are not the same point.
Scaling against(const ScalingPoint& base, const ScalingPoint& point, double factor) {
  std::optional<Interval> interval;
  if (&base != &point && base.time && point.time) {
    interval = ratio_interval(*base.time, *point.time);
    interval->lo *= factor;
    interval->hi *= factor;
  }
  return scaled(point, factor * base.time_s / point.time_s, interval);
}

std::vector<double> amdahl_columns(double p) {
  return {1, p - 1};
}
std::vector<double> usl_columns(double p) {
  return {1, p - 1, p * (p - 1)};
}
std::vector<double> gustafson_columns(double p) {
  return {p, 1 - p};
}

std::string text_of(double value) {
  std::string text = std::to_string(value);
  return text.substr(0, text.find_last_not_of('0') + 1);
}

} // namespace

Estimate summarise(std::span<const double> values) {
  return {median(values), median_interval(values)};
}

Interval ratio_interval(const Interval& a, const Interval& b) noexcept {
  return {a.lo / b.hi, a.hi / b.lo};
}

Scaling strong_scaling(const ScalingPoint& base, const ScalingPoint& point) {
  return against(base, point, base.workers);
}

Scaling weak_scaling(const ScalingPoint& base, const ScalingPoint& point) {
  return against(base, point, base.workers * point.work / base.work);
}

Balance balance(std::span<const double> busy_s, std::span<const int> node, double wall_s) {
  if (busy_s.empty() || busy_s.size() != node.size() || !(wall_s > 0))
    throw Error(ErrorKind::bad_input, "a balance needs a busy time and a node for every rank");
  const double most = std::ranges::max(busy_s);
  if (!(most > 0))
    return {.communication = 0, .parallel_efficiency = 0};
  struct Sum {
    double busy = 0;
    double ranks = 0;
  };
  std::map<int, Sum> nodes;
  for (std::size_t r = 0; r < busy_s.size(); ++r) {
    Sum& sum = nodes[node[r]];
    sum.busy += busy_s[r];
    ++sum.ranks;
  }
  double busiest = 0;
  for (const auto& [number, sum] : nodes)
    busiest = std::max(busiest, sum.busy / sum.ranks);
  const double mean =
      std::reduce(busy_s.begin(), busy_s.end()) / static_cast<double>(busy_s.size());
  Balance found;
  found.load_balance = mean / most;
  found.between_nodes = mean / busiest;
  found.in_nodes = busiest / most;
  found.communication = most / wall_s;
  found.parallel_efficiency = found.load_balance * found.communication;
  return found;
}

LawFit LawFit::amdahl(std::span<const ScalingPoint> points) {
  return {"Amdahl", {"f"}, amdahl_columns, false, points};
}

LawFit LawFit::usl(std::span<const ScalingPoint> points) {
  return {"USL", {"a", "b"}, usl_columns, false, points};
}

LawFit LawFit::gustafson(std::span<const ScalingPoint> points) {
  return {"Gustafson", {"f"}, gustafson_columns, true, points};
}

// y = p T, or W/T, is linear in coefficients of which the first scales the rest. Residuals are
// divided by y: times of all sizes have about the same relative error.
LawFit::LawFit(std::string name, std::vector<std::string> parameters, Columns columns, bool rates,
               std::span<const ScalingPoint> points)
    : name_(std::move(name)), columns_(columns), rates_(rates) {
  const std::size_t unknowns = parameters.size() + 1;
  std::set<double> sizes;
  Matrix rows;
  for (const ScalingPoint& point : points) {
    sizes.insert(point.workers);
    const double y = rates ? point.work / point.time_s : point.workers * point.time_s;
    rows.push_back(columns(point.workers));
    for (double& x : rows.back())
      x /= y;
  }
  if (sizes.size() < unknowns)
    throw Error(ErrorKind::bad_input, name_ + "'s law needs points at " + std::to_string(unknowns) +
                                          " numbers of workers, not " +
                                          std::to_string(sizes.size()));
  Matrix normal(unknowns, std::vector<double>(unknowns));
  std::vector<double> right(unknowns);
  for (const std::vector<double>& row : rows)
    for (std::size_t i = 0; i < unknowns; ++i) {
      right[i] += row[i];
      for (std::size_t j = 0; j < unknowns; ++j)
        normal[i][j] += row[i] * row[j];
    }
  const Matrix inverted = inverse(normal);
  coefficients_ = times(inverted, right);
  if (rows.size() > unknowns) {
    double squares = 0;
    for (const std::vector<double>& row : rows)
      squares += std::pow(1 - dot(row, coefficients_), 2);
    const auto freedom = static_cast<double>(rows.size() - unknowns);
    covariance_ = inverted;
    for (std::vector<double>& row : covariance_)
      for (double& entry : row)
        entry *= squares / freedom;
    t_ = boost::math::quantile(boost::math::students_t(freedom), 0.975);
  }
  const double one = coefficients_[0];
  for (std::size_t k = 1; k < unknowns; ++k) {
    LawParameter parameter{parameters[k - 1], {coefficients_[k] / one, {}}};
    const double value = parameter.estimate.value;
    if (!covariance_.empty()) {
      std::vector<double> gradient(unknowns);
      gradient[0] = -value / one;
      gradient[k] = 1 / one;
      const double half = t_ * std::sqrt(variance(gradient));
      parameter.estimate.interval = Interval{value - half, value + half};
    }
    if (value < 0 && rejected_.empty())
      rejected_ = parameter.name + " = " + text_of(value) + " is negative";
    if (value > 1 && rejected_.empty()) // a share of the work
      rejected_ = parameter.name + " = " + text_of(value) + " is more than 1";
    parameters_.push_back(std::move(parameter));
  }
}

double LawFit::variance(std::span<const double> gradient) const {
  return std::max(dot(gradient, times(covariance_, gradient)), 0.0);
}

Estimate LawFit::predict(double workers) const {
  std::vector<double> x = columns_(workers);
  if (!rates_)
    for (double& entry : x)
      entry /= workers;
  Estimate predicted{dot(x, coefficients_), {}};
  if (!covariance_.empty()) {
    const double half = t_ * std::sqrt(variance(x));
    predicted.interval = Interval{predicted.value - half, predicted.value + half};
  }
  return predicted;
}

std::optional<double> LawFit::peak() const {
  if (parameters_.size() < 2)
    return std::nullopt;
  const double a = parameters_[0].estimate.value;
  const double b = parameters_[1].estimate.value;
  if (b <= 0 || a > 1)
    return std::nullopt;
  return std::sqrt((1 - a) / b);
}

} // namespace cleave
