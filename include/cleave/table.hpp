/// @file
/// Tables of numbers read from CSV or HDF5 by all ranks together, each its own rows.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/range.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace cleave {

/// The size of a table, and what its columns are called.
struct TableShape {
  std::int64_t rows = 0;          ///< of all ranks together
  std::int64_t columns = 0;       ///< without dropped ones
  std::vector<std::string> names; ///< by column; empty where the file has none
};

/// What of a file is read.
struct TableOptions {
  /// HDF5: the path of the dataset; empty: the only one of two dimensions.
  std::string dataset;
  /// Columns to leave out, separated by commas: numbers from 0, or from the end as -1, -2, ..., or
  /// names of the header line. They may hold text.
  std::string drop_columns;
};

/// The rows that a rank shall hold. Called on every rank; must depend on its arguments alone.
using RowsOfRank = std::function<TaskRange(const TableShape& shape, int rank)>;

/// The rows that one rank holds.
struct Table {
  TableShape shape;
  TaskRange own;              ///< numbers of the rows held here
  std::vector<double> values; ///< own.size() * shape.columns, row by row
};

/// Reads a table of finite numbers: CSV (RFC 4180, with or without a header line, which is one
/// without a number), the same packed by gzip (NAME.gz), or a dataset of two dimensions, or one, of
/// an HDF5 file (NAME.h5, NAME.hdf5, NAME.h5:/path/of/dataset). Blank lines are passed over.
///
/// Collective. Each rank reads its own rows, so that the table need not fit into one node, and
/// every node must see the file; CSV is read twice, for rows must be counted first. Of a .gz root
/// reads all, twice, and deals out rows in blocks of 1 MiB. Memory: the rank's own rows and a few
/// MiB.
/// @throws Error on every rank, bad_input where the file is not such a table: it names file, line
///         and column, and the mend
[[nodiscard]] Table read_table(const Comm& comm, const std::filesystem::path& file,
                               const TableOptions& options, const RowsOfRank& rows_of);

/// The file that a table's name stands for: NAME.h5 of NAME.h5:/path. Local, thread-safe.
[[nodiscard]] std::filesystem::path table_file(const std::filesystem::path& name);

} // namespace cleave
