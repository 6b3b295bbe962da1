/// @file
/// Tasks of unequal cost: the irregular suite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline constexpr double ns_a_step = 1.5; // about; what counts is that all sides do the same steps

/// Steps of every task of one shape, of a given mean.
struct Load {
  std::string name;
  std::vector<std::int64_t> steps;
};

/// n tasks of relative cost f(x), x in [0, 1).
template <class F>
Load load(std::string name, std::int64_t n, double mean_us, F f) {
  std::vector<double> costs;
  for (std::int64_t i = 0; i < n; ++i)
    costs.push_back(f(static_cast<double>(i) / static_cast<double>(n)));
  const double sum = std::reduce(costs.begin(), costs.end());
  Load all{std::move(name), {}};
  for (const double cost : costs)
    all.steps.push_back(
        std::llround(cost / sum * static_cast<double>(n) * mean_us * 1e3 / ns_a_step));
  return all;
}

/// A number in (0, 1) for every x, without order.
inline double scrambled(double x) {
  const double y = std::sin(x * 12.9898e3 + 78.233) * 43758.5453;
  return std::clamp(y - std::floor(y), 1e-9, 1 - 1e-9);
}

/// Iterations of the Mandelbrot set at a pixel of a square image.
inline double mandelbrot(double x) {
  const double a = 2.5 * std::fmod(x * 64, 1.0) - 2;
  const double b = 2.5 * x - 1.25;
  double re = 0;
  double im = 0;
  int i = 0;
  for (; i < 200 && re * re + im * im < 4; ++i) {
    const double next = re * re - im * im + a;
    im = 2 * re * im + b;
    re = next;
  }
  return i + 1;
}

/// The irregular suite: six loads, and one task that takes a quarter of all time.
inline std::vector<Load> loads(std::int64_t n, double mean_us) {
  std::vector<Load> all = {
      load("constant", n, mean_us, [](double) { return 1.0; }),
      load("linear", n, mean_us, [](double x) { return x; }),
      load("quadratic", n, mean_us, [](double x) { return x * x; }),
      load("random exponential", n, mean_us, [](double x) { return -std::log(scrambled(x)); }),
      load("growing exponential", n, mean_us, [](double x) { return std::exp(6 * x); }),
      load("mandelbrot", n, mean_us, mandelbrot)};
  Load giant = load("giant at the end", n, mean_us, [](double) { return 1.0; });
  giant.steps.back() = std::reduce(giant.steps.begin(), giant.steps.end()) / 4;
  all.push_back(std::move(giant));
  return all;
}

} // namespace bench
