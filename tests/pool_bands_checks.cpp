#include "pool_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace cleave::testing {
namespace {

/// A stencil of `halo` rows up and down, by bands and in one go.
void check_bands(Pool& pool, const BandShape& shape) {
  std::vector<int> in(static_cast<std::size_t>(shape.rows * shape.in_width));
  std::iota(in.begin(), in.end(), 1);
  const auto row_sum = [&shape](std::span<const int> rows, std::int64_t first) {
    std::int64_t sum = 0;
    for (std::int64_t x = 0; x < shape.in_width; ++x)
      sum += rows[static_cast<std::size_t>(first * shape.in_width + x)];
    return sum;
  };
  const auto stencil = [=](std::span<const int> rows, TaskRange held, std::int64_t row) {
    std::int64_t sum = 0;
    for (std::int64_t r = std::max(row - shape.halo, std::int64_t{0});
         r <= std::min(row + shape.halo, shape.rows - 1); ++r)
      sum += (r + 1) * row_sum(rows, r - held.first);
    return sum;
  };
  const auto result = pool.map_bands<std::int64_t>(
      [=](TaskRange rows, TaskRange in_rows, std::span<const int> given,
          std::span<std::int64_t> out, Worker&) {
        EXPECT_EQ(in_rows.first, std::max(rows.first - shape.halo, std::int64_t{0}));
        EXPECT_EQ(in_rows.last, std::min(rows.last + shape.halo, shape.rows));
        EXPECT_EQ(std::ssize(given), in_rows.size() * shape.in_width);
        EXPECT_EQ(std::ssize(out), rows.size() * shape.out_width);
        EXPECT_LE(rows.size(), shape.grain);
        for (std::int64_t row = rows.first; row < rows.last; ++row)
          for (std::int64_t x = 0; x < shape.out_width; ++x)
            out[static_cast<std::size_t>((row - rows.first) * shape.out_width + x)] =
                stencil(given, in_rows, row) + x;
      },
      at_root(pool, in), shape);
  std::vector<std::int64_t> expected;
  for (std::int64_t row = 0; pool.is_root() && row < shape.rows; ++row)
    for (std::int64_t x = 0; x < shape.out_width; ++x)
      expected.push_back(stencil(in, {0, shape.rows}, row) + x);
  EXPECT_EQ(result, expected);
}

/// Several grids at once give what each gives by itself.
void check_grids(Pool& pool, const std::vector<BandShape>& grids) {
  const auto of_band = [](std::int64_t halo, std::int64_t width, TaskRange rows, TaskRange in_rows,
                          std::span<const int> given, std::span<std::int64_t> out) {
    EXPECT_EQ(rows.first - in_rows.first, std::min(halo, rows.first));
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = std::accumulate(given.begin(), given.end(), std::int64_t{0}) * width +
               static_cast<std::int64_t>(i);
  };
  std::vector<int> all;
  std::vector<std::int64_t> expected;
  for (const BandShape& shape : grids) {
    std::vector<int> in;
    for (std::int64_t i = 0; i < shape.rows * shape.in_width; ++i)
      in.push_back(static_cast<int>(all.size()) + static_cast<int>(i));
    const auto part = pool.map_bands<std::int64_t>(
        [&](TaskRange rows, TaskRange in_rows, std::span<const int> given,
            std::span<std::int64_t> out,
            Worker&) { of_band(shape.halo, shape.out_width, rows, in_rows, given, out); },
        at_root(pool, in), shape);
    all.insert(all.end(), in.begin(), in.end());
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const auto result = pool.map_bands<std::int64_t>(
      [&](std::int64_t grid, TaskRange rows, TaskRange in_rows, std::span<const int> given,
          std::span<std::int64_t> out, Worker&) {
        const BandShape& shape = grids[static_cast<std::size_t>(grid)];
        of_band(shape.halo, shape.out_width, rows, in_rows, given, out);
      },
      at_root(pool, all), grids);
  EXPECT_EQ(result, expected);
}

} // namespace

void check_map_bands(Pool& pool) {
  check_grids(pool, {});
  check_grids(pool, {{0, 1, 1, 0, 1}, {5, 3, 2, 1, 2}, {0, 4, 4, 1, 1}, {20, 1, 4, 2, 3}});
  check_grids(pool, {{40, 300, 500, 3, 5}, {1, 1, 1, 5, 7}, {9, 2, 0, 1, 2}, {0, 1, 1, 0, 1}});
  for (const std::int64_t rows : {0, 1, 2, 50})
    for (const std::int64_t halo : {0, 2, 60})
      for (const std::int64_t grain : {1, 4, 100})
        check_bands(pool, {rows, 3, 2, halo, grain});
  check_bands(pool, {50, 1, 1, 1, 3});
  check_bands(pool, {40, 300, 700, 3, 5}); // more than 64 KiB a leaf
  check_bands(pool, {10, 0, 2, 1, 1});
  check_bands(pool, {10, 2, 0, 1, 1});
  const auto nothing = [](TaskRange, TaskRange, std::span<const int>, std::span<int>, Worker&) {};
  EXPECT_THROW((void)pool.map_bands<int>(nothing, numbers<int>(pool, 11), {5, 2, 2, 0, 1}), Error);
}

} // namespace cleave::testing
