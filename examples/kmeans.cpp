/// @file
/// Iterative work on data that stays where it is: k-means. The points are scattered once; each
/// round reads them where they lie, and nothing but the sums of the clusters travels.
///
///     mpirun -q -n 4 example_kmeans
#include "cleave/pool.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <span>
#include <vector>

namespace {

constexpr std::size_t clusters = 3;

struct Point {
  double x = 0;
  double y = 0;
};
using Centres = std::array<Point, clusters>;

/// What a leaf of points says to the next centres.
struct Sums {
  Centres total{};
  std::array<std::int64_t, clusters> count{};
  double inertia = 0; // squared distances to the nearest centre

  friend Sums operator+(Sums a, const Sums& b) {
    for (std::size_t k = 0; k < clusters; ++k) {
      a.total[k].x += b.total[k].x;
      a.total[k].y += b.total[k].y;
      a.count[k] += b.count[k];
    }
    a.inertia += b.inertia;
    return a;
  }
};

/// A point of one of three overlapping squares, drawn from the task's own random stream.
Point random_point(std::int64_t i, cleave::Worker& worker) {
  constexpr Centres corners = {Point{0, 0}, Point{3, 0}, Point{0, 3}};
  const auto [x, y] = corners[static_cast<std::size_t>(i) % clusters];
  auto random = worker.random();
  return {x + 4 * random.uniform(), y + 4 * random.uniform()};
}

double squared_distance(const Point& a, const Point& b) {
  return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
}

void assign(const Point& point, const Centres& centres, Sums& sums) {
  std::size_t nearest = 0;
  for (std::size_t k = 1; k < clusters; ++k)
    if (squared_distance(point, centres[k]) < squared_distance(point, centres[nearest]))
      nearest = k;
  sums.total[nearest].x += point.x;
  sums.total[nearest].y += point.y;
  ++sums.count[nearest];
  sums.inertia += squared_distance(point, centres[nearest]);
}

} // namespace

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session);
  const std::vector<Point> points = pool.map(random_point, 30'000); // at root
  Centres centres = pool.from_root([&] { return Centres{points[0], points[1], points[2]}; });
  const auto resident = pool.scatter(points, {.grain = 1000}); // Distributed<Point>

  double last = std::numeric_limits<double>::infinity();
  for (int round = 1;; ++round) {
    const auto sum_leaf = [&centres](cleave::TaskRange, std::span<const Point> leaf) {
      Sums sums;
      for (const Point& point : leaf)
        assign(point, centres, sums);
      return sums;
    };
    const Sums sums = pool.reduce_ranges(sum_leaf, resident, std::plus<>(), Sums());
    // Every rank has the same bits, and so makes the same decision.
    if (sums.inertia > last)
      throw cleave::Error(cleave::ErrorKind::wrong_answer, "the inertia rose");
    if (pool.is_root())
      std::cout << "round " << round << ": inertia " << std::llround(sums.inertia) << '\n';
    if (last - sums.inertia < 1e-3 * sums.inertia)
      return 0;
    last = sums.inertia;
    for (std::size_t k = 0; k < clusters; ++k)
      if (const auto count = static_cast<double>(sums.count[k]); count > 0)
        centres[k] = {sums.total[k].x / count, sums.total[k].y / count};
  }
} catch (const cleave::Error& error) {
  std::cerr << error.what() << '\n';
  return exit_status(error.kind());
}
