/// @file
/// The input of a workload that learns from a table: its parameters, and its rows dealt out to the
/// ranks by leaves.
#pragma once

#include "cleave/distributed.hpp"
#include "cleave/table.hpp"
#include "cleave/workload.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace cleave {

/// Rows of numbers, each rank's in its memory.
struct Matrix {
  TableShape shape;
  Leaves leaves{0};           ///< of the rows
  Distributed<double> values; ///< row by row, in leaves of the same rows

  /// The rows of a leaf, given as the range of their numbers.
  [[nodiscard]] TaskRange rows_of(TaskRange numbers) const noexcept {
    return {numbers.first / shape.columns, numbers.last / shape.columns};
  }
  /// The rows that this rank holds.
  [[nodiscard]] TaskRange own() const noexcept { return rows_of(values.own()); }
  /// Row `row`, which this rank holds.
  [[nodiscard]] std::span<const double> row(std::int64_t row) const noexcept {
    return values.local().subspan(static_cast<std::size_t>((row - own().first) * shape.columns),
                                  static_cast<std::size_t>(shape.columns));
  }
};

/// The parameters `input`, `dataset` and `drop_columns`.
[[nodiscard]] std::vector<Parameter> matrix_parameters();

/// Reads what these parameters name. Collective.
/// @param leaf_rows the fewest rows in a leaf: about 100 us of work @throws Error bad_input
[[nodiscard]] Matrix read_matrix(const Values& values, const Pool& pool,
                                 const std::function<std::int64_t(const TableShape&)>& leaf_rows);

/// Refuses an output of a workload that is not named .h5, or that is the input. Local.
/// @throws Error bad_input
void accept_arrays_file(const Values& values, std::string_view parameter);

} // namespace cleave
