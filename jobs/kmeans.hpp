/// @file
/// The parts of k-means: its kernel, and the check of its answer (S. P. Lloyd, "Least squares
/// quantization in PCM", IEEE Transactions on Information Theory 28, 1982,
/// doi:10.1109/TIT.1982.1056489): the nearest centroid of every row.
#pragma once

#include "cleave/workload.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cleave::kmeans {

/// Centroids, also as the kernel reads them: in panels of as many as two vectors hold, column by
/// column. Made for the instruction set in use. A plain value; reading it is thread-safe.
class Centroids {
public:
  Centroids() = default;
  /// @param values one row of `columns` numbers a centroid
  Centroids(std::vector<double> values, std::int64_t columns);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  [[nodiscard]] std::int64_t columns() const noexcept { return columns_; }
  /// Row by row.
  [[nodiscard]] const std::vector<double>& values() const noexcept { return values_; }
  /// Panels of panel_width() centroids: first what each one's score begins with, then, for each
  /// column, a number each. What is wanting to a whole number of panels is never nearest.
  [[nodiscard]] const double* panels() const noexcept { return panels_.front().numbers; }

private:
  struct alignas(64) CacheLine {
    double numbers[8];
  };
  std::int64_t columns_ = 0;
  std::int64_t count_ = 0;
  std::vector<double> values_;
  std::vector<CacheLine> panels_;
};

/// Centroids in a panel, for the instruction set in use. Local, thread-safe.
[[nodiscard]] std::int64_t panel_width();

/// What a pass adds up, in one vector of numbers that travels: of each cluster the sum of its rows,
/// and their number; the sum of the squared distances of rows to their centroids; and how many
/// labels have changed.
struct Tally {
  std::int64_t clusters;
  std::int64_t columns;
  std::span<double> numbers; ///< size_of(clusters, columns)

  [[nodiscard]] static std::size_t size_of(std::int64_t clusters, std::int64_t columns) noexcept {
    return static_cast<std::size_t>(clusters * columns + clusters + 2);
  }
  [[nodiscard]] double* sum(std::int64_t cluster) const noexcept {
    return numbers.data() + cluster * columns;
  }
  [[nodiscard]] double& size(std::int64_t cluster) const noexcept {
    return numbers[static_cast<std::size_t>(clusters * columns + cluster)];
  }
  [[nodiscard]] double& inertia() const noexcept { return numbers[numbers.size() - 2]; }
  [[nodiscard]] double& changed() const noexcept { return numbers.back(); }
};

/// Gives each row the number of its nearest centroid, the lowest of several, and adds the row to
/// the tally. Two centroids whose distances differ by rounding errors alone count as equally near.
/// Local, thread-safe.
///
/// Bytes are the same for all instruction sets that have a fused multiply-add: each product of a
/// row and a centroid is one chain over the columns, and distances are added up in eight lanes,
/// whatever the width of a vector.
/// @param rows whole rows of centroids.columns() numbers @param labels one a row, read and written
void assign(const Centroids& centroids, std::span<const double> rows,
            std::span<std::int32_t> labels, const Tally& tally);

using Assign = decltype(assign);

/// The squared distance of two rows, with the bits that assign() adds up. Local, thread-safe.
[[nodiscard]] double squared_distance(std::span<const double> row, const double* other);

/// One assignment of all rows.
struct Pass {
  double inertia = 0;         ///< sum of the squared distances of rows to their centroids
  std::int64_t changed = 0;   ///< labels
  std::int64_t relocated = 0; ///< centroids of empty clusters, after it
};

/// What root keeps of a run.
struct Answer {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t clusters = 0;
  std::vector<double> centroids = {}; ///< that the last pass compared with
  std::vector<std::int32_t> labels = {};
  std::vector<Pass> passes = {};
  bool converged = false;
  std::vector<double> plain = {};        ///< a Tally of the labels by plain loops
  std::vector<std::int64_t> sample = {}; ///< numbers of some rows
  std::vector<double> sample_rows = {};  ///< and the rows
};

/// Rows in each cluster, by the labels. Local.
[[nodiscard]] std::vector<std::int64_t> sizes_of(const Answer& answer);

/// Checks an answer by plain loops: the inertia is the sum of squared distances and never rose, the
/// sample's rows are in the clusters nearest to them, and centroids are the means of their rows
/// where the iteration has converged. Local.
[[nodiscard]] Verdict check(const Answer& answer);

/// The workload `kmeans` on this kernel.
[[nodiscard]] Workload workload(Assign* assign);

} // namespace cleave::kmeans
