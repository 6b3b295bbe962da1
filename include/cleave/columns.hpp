/// @file
/// Tables of columns as HDF5 that xarray, pandas and h5py open by name: one dimension a group.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace cleave {

/// One column of a table; as many values as the table has rows. Doubles may be NaN: not known.
struct Column {
  std::string name;
  std::string units; ///< "1" for plain numbers, "" for texts
  std::string long_name;
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>> values;
};

/// A table: the columns of one group of a file, on one dimension.
struct ColumnTable {
  std::string group;     ///< "" for the file's root
  std::string dimension; ///< such as "point"; its scale counts from 0
  std::map<std::string, std::string> attributes;
  std::vector<Column> columns;
};

/// Writes the tables as one HDF5 file, in place of what is there, atomically. The same tables give
/// the same bytes. Local, not thread-safe. @throws Error bad_input when columns of a table differ
/// in length, io when the disk refuses
void write_columns(const std::filesystem::path& file, std::span<const ColumnTable> tables);

} // namespace cleave
