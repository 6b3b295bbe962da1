/// @file
/// What the readers of tables share. Rows are numbered from 0, lines from 1, columns from 0 as the
/// file has them.
#pragma once

#include "cleave/error.hpp"
#include "cleave/table.hpp"

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::table {

/// What root finds out before any number is read, and all ranks learn.
struct Form {
  TableShape shape;               // its rows may come later
  std::vector<char> kept;         // by column of the file
  std::vector<std::string> names; // by column of the file, where it has some
  std::int64_t body = 0;          // CSV: offset of the first line of numbers
  std::int64_t body_line = 1;     // CSV: its number
  std::string dataset;            // HDF5: the path
};

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& message,
                         std::int64_t line = 0);

/// Refuses what is no regular file with something in it.
void require_file(const std::filesystem::path& file);

/// Settles which of the file's columns are read. @param names by column, empty where there are none
void keep_columns(Form& form, const std::filesystem::path& file, const TableOptions& options,
                  std::int64_t columns, const std::vector<std::string>& names);

/// How messages call a column.
[[nodiscard]] std::string column_text(std::int64_t column, const std::vector<std::string>& names);

/// Throws on every rank what the lowest rank that gives something gives; returns where none does.
/// Collective.
void raise_together(const Comm& comm, const std::exception_ptr& mine);

/// Runs work() on this rank; what it throws on any rank, every rank throws. Collective.
template <class Work>
void together(const Comm& comm, Work work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  raise_together(comm, failure);
}

/// What find() returns at root, on every rank. Collective.
[[nodiscard]] Form from_root(const Comm& comm, const std::function<Form()>& find);

/// An empty table of this rank, with room for its rows. Collective.
[[nodiscard]] Table make_table(const Comm& comm, const TableShape& shape,
                               const RowsOfRank& rows_of);

/// Readers of one format each. Collective.
[[nodiscard]] Table read_csv(const Comm& comm, const std::filesystem::path& file,
                             const TableOptions& options, const RowsOfRank& rows_of);
[[nodiscard]] Table read_gz(const Comm& comm, const std::filesystem::path& file,
                            const TableOptions& options, const RowsOfRank& rows_of);
[[nodiscard]] Table read_hdf5(const Comm& comm, const std::filesystem::path& file,
                              const TableOptions& options, const RowsOfRank& rows_of);

} // namespace cleave::table
