// The nearest centroid of each row. The plain loop:
//
//   for each row x:  label = the c for which |x - c|^2 is least
//
// With m near the centroids and e = c - m, |x - c|^2 = |x - m|^2 - 2 (x.e - m.e - |e|^2 / 2): the
// nearest centroid is the one whose score x.e - (m.e + |e|^2 / 2) is greatest. That is a product of
// matrices, computed a few rows by two vectors of centroids at a time. Taking m away keeps digits
// where the data lie far from 0.

#include "jobs/kmeans.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

// Vectors whose size the compiler does not know cannot be kept in arrays.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jobs/kmeans_kernel.cpp" // compiled once for every instruction set
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::kmeans::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Vector = hn::Vec<Doubles>;
constexpr std::size_t lanes = hn::MaxLanes(Doubles());
constexpr std::size_t panel_vectors = 2;
// Rows at a time: as many products as registers hold, beside what they are made of.
#if HWY_TARGET <= HWY_AVX3
constexpr std::size_t tile_rows = 12; // of 32 registers
#else
constexpr std::size_t tile_rows = 6; // of 16 registers
#endif

// Distances are summed in eight lanes on every instruction set, so that their bits do not differ.
using Eighths = hn::CappedTag<double, 8>;
constexpr std::size_t eighth_lanes = hn::MaxLanes(Eighths());
constexpr std::size_t eighths = 8 / eighth_lanes;
using Eight = std::array<hn::Vec<Eighths>, eighths>;

std::int64_t panel_width() {
  return panel_vectors * lanes;
}

/// The best centroid so far of each row of a tile, lane by lane.
struct Best {
  std::array<Vector, tile_rows> score;
  std::array<Vector, tile_rows> label;
};

/// Compares the rows of a tile with the first `vectors` vectors of a panel.
template <std::size_t vectors>
HWY_INLINE void compare(const double* HWY_RESTRICT panel, std::int64_t columns,
                        const std::array<const double*, tile_rows>& rows, std::int64_t first,
                        Best& best) {
  const Doubles d;
  std::array<std::array<Vector, vectors>, tile_rows> score;
  HWY_UNROLL(12)
  for (std::size_t r = 0; r < tile_rows; ++r)
    for (std::size_t v = 0; v < vectors; ++v)
      score[r][v] = hn::Load(d, panel + v * lanes);
  HWY_UNROLL(4)
  for (std::int64_t j = 0; j < columns; ++j) {
    panel += panel_vectors * lanes;
    std::array<Vector, vectors> centroids;
    for (std::size_t v = 0; v < vectors; ++v)
      centroids[v] = hn::Load(d, panel + v * lanes);
    HWY_UNROLL(12)
    for (std::size_t r = 0; r < tile_rows; ++r) {
      const auto x = hn::Set(d, rows[r][j]);
      for (std::size_t v = 0; v < vectors; ++v)
        score[r][v] = hn::MulAdd(x, centroids[v], score[r][v]);
    }
  }
  for (std::size_t v = 0; v < vectors; ++v) {
    const auto label = hn::Iota(d, static_cast<double>(first) + static_cast<double>(v * lanes));
    for (std::size_t r = 0; r < tile_rows; ++r) {
      const auto better = hn::Gt(score[r][v], best.score[r]);
      best.score[r] = hn::IfThenElse(better, score[r][v], best.score[r]);
      best.label[r] = hn::IfThenElse(better, label, best.label[r]);
    }
  }
}

/// The best of a row's lanes, the lowest label of several.
HWY_INLINE std::int32_t best_label(Vector score, Vector label) {
  const Doubles d;
  const auto greatest = hn::MaxOfLanes(d, score);
  const auto none = hn::Set(d, std::numeric_limits<double>::max());
  return static_cast<std::int32_t>(
      hn::GetLane(hn::MinOfLanes(d, hn::IfThenElse(hn::Eq(score, greatest), label, none))));
}

/// Labels of the rows of a tile.
HWY_INLINE void label_tile(const Centroids& centroids,
                           const std::array<const double*, tile_rows>& rows,
                           std::array<std::int32_t, tile_rows>& labels) {
  const Doubles d;
  Best best;
  best.score.fill(hn::Set(d, -std::numeric_limits<double>::infinity()));
  best.label.fill(hn::Zero(d));
  const std::int64_t width = panel_vectors * lanes;
  const double* panel = centroids.panels();
  for (std::int64_t first = 0; first < centroids.count(); first += width) {
    if (centroids.count() - first > static_cast<std::int64_t>(lanes))
      compare<panel_vectors>(panel, centroids.columns(), rows, first, best);
    else
      compare<1>(panel, centroids.columns(), rows, first, best);
    panel += (centroids.columns() + 1) * width;
  }
  for (std::size_t r = 0; r < tile_rows; ++r)
    labels[r] = best_label(best.score[r], best.label[r]);
}

/// Adds the squared differences of eight numbers, and, where there is a sum of rows, the numbers
/// themselves to it.
template <bool summed>
HWY_INLINE void take_eight(const double* HWY_RESTRICT row, const double* HWY_RESTRICT centroid,
                           double* HWY_RESTRICT sum, Eight& squares) {
  const Eighths d;
  for (std::size_t v = 0; v < eighths; ++v) {
    const auto x = hn::LoadU(d, row + v * eighth_lanes);
    const auto difference = hn::Sub(x, hn::LoadU(d, centroid + v * eighth_lanes));
    squares[v] = hn::MulAdd(difference, difference, squares[v]);
    if constexpr (summed)
      hn::StoreU(hn::Add(hn::LoadU(d, sum + v * eighth_lanes), x), d, sum + v * eighth_lanes);
  }
}

/// The squared distance of two rows; adds the first to a sum.
template <bool summed>
HWY_INLINE double take_row(const double* HWY_RESTRICT row, const double* HWY_RESTRICT centroid,
                           double* HWY_RESTRICT sum, std::int64_t columns) {
  const Eighths d;
  Eight squares;
  squares.fill(hn::Zero(d));
  std::int64_t j = 0;
  for (; j + 8 <= columns; j += 8) {
    if constexpr (summed) // tiles read a few rows at once, which the processor does not foresee
      hwy::Prefetch(row + 2 * tile_rows * static_cast<std::size_t>(columns) + j);
    take_eight<summed>(row + j, centroid + j, summed ? sum + j : nullptr, squares);
  }
  if (j < columns) {
    std::array<double, 8> rest{};
    std::array<double, 8> other{};
    std::copy(row + j, row + columns, rest.begin());
    std::copy(centroid + j, centroid + columns, other.begin());
    take_eight<false>(rest.data(), other.data(), nullptr, squares);
    for (; summed && j < columns; ++j)
      sum[j] += row[j];
  }
  std::array<double, 8> s;
  for (std::size_t v = 0; v < eighths; ++v)
    hn::StoreU(squares[v], d, s.data() + v * eighth_lanes);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

double distance(const double* row, const double* other, std::int64_t columns) {
  return take_row<false>(row, other, nullptr, columns);
}

void assign_rows(const Centroids& centroids, const double* rows, std::span<std::int32_t> labels,
                 const Tally& tally) {
  const std::int64_t columns = centroids.columns();
  std::array<const double*, tile_rows> tile;
  std::array<std::int32_t, tile_rows> found;
  for (std::size_t first = 0; first < labels.size(); first += tile_rows) {
    const std::size_t held = std::min(tile_rows, labels.size() - first);
    for (std::size_t r = 0; r < tile_rows; ++r) // a tile that is not full has its last row again
      tile[r] = rows + static_cast<std::int64_t>(first + std::min(r, held - 1)) * columns;
    label_tile(centroids, tile, found);
    for (std::size_t r = 0; r < held; ++r) {
      std::int32_t& label = labels[first + r];
      tally.changed() += label != found[r] ? 1 : 0;
      label = found[r];
      tally.size(label) += 1;
      tally.inertia() += take_row<true>(tile[r], centroids.values().data() + label * columns,
                                        tally.sum(label), columns);
    }
  }
}

} // namespace cleave::kmeans::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::kmeans {

HWY_EXPORT(panel_width);
HWY_EXPORT(assign_rows);
HWY_EXPORT(distance);

namespace {

/// Without its last 40 bits: whole numbers stay exact when it is taken from them, so that equal
/// distances of such rows stay equal.
double rounded(double value) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) &
                               ~((std::uint64_t{1} << 40) - 1));
}

} // namespace

std::int64_t panel_width() {
  return HWY_DYNAMIC_DISPATCH(panel_width)();
}

Centroids::Centroids(std::vector<double> values, std::int64_t columns)
    : columns_(columns), count_(std::ssize(values) / columns), values_(std::move(values)) {
  const std::int64_t width = panel_width();
  const std::int64_t panels = (count_ + width - 1) / width;
  const std::int64_t panel_size = (columns + 1) * width;
  panels_.resize(static_cast<std::size_t>((panels * panel_size + 7) / 8));
  std::vector<double> middle(static_cast<std::size_t>(columns));
  for (std::size_t i = 0; i < values_.size(); ++i)
    middle[i % middle.size()] += values_[i];
  for (double& m : middle)
    m = rounded(m / static_cast<double>(count_));
  for (std::int64_t c = 0; c < panels * width; ++c) {
    double* const begin = panels_.front().numbers + c / width * panel_size + c % width;
    *begin = c < count_ ? 0 : -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < columns && c < count_; ++j) {
      const double m = middle[static_cast<std::size_t>(j)];
      const double e = values_[static_cast<std::size_t>(c * columns + j)] - m;
      begin[(j + 1) * width] = e;
      *begin -= m * e + e * e / 2;
    }
  }
}

void assign(const Centroids& centroids, std::span<const double> rows,
            std::span<std::int32_t> labels, const Tally& tally) {
  HWY_DYNAMIC_DISPATCH(assign_rows)(centroids, rows.data(), labels, tally);
}

double squared_distance(std::span<const double> row, const double* other) {
  return HWY_DYNAMIC_DISPATCH(distance)(row.data(), other, std::ssize(row));
}

} // namespace cleave::kmeans
#endif
