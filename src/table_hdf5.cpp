#include "hdf5_file.hpp"
#include "table_parts.hpp"
#include "words.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace cleave::table {
namespace {

namespace fs = std::filesystem;

constexpr double most_packed = 65'536; // values in a byte: more than any filter of HDF5 makes
constexpr std::int64_t read_bytes = std::int64_t{1} << 20; // read at once where columns are dropped

/// Rows and columns of a dataset of numbers; no rows and columns of any other.
std::array<std::int64_t, 2> size_of(const hdf5::Dataset& dataset) {
  const hdf5::Type type(hdf5::checked(H5Dget_type(dataset.get()), "read a type"));
  const H5T_class_t kind = H5Tget_class(type.get());
  const hdf5::Shape shape = hdf5::shape_of(dataset);
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || shape.empty() || shape.size() > 2)
    return {};
  return {static_cast<std::int64_t>(shape.front()),
          shape.size() == 1 ? 1 : static_cast<std::int64_t>(shape.back())};
}

/// Every dataset of numbers with one dimension or two in the file's root group.
std::vector<std::string> tables_in(const hdf5::File& file, std::size_t dimensions) {
  std::vector<std::string> tables;
  for (const std::string& name : hdf5::names_in(hdf5::open_group(file, "/")))
    try {
      const hdf5::Dataset dataset = hdf5::open_dataset(file.get(), name.c_str());
      if (size_of(dataset)[1] > 0 && hdf5::shape_of(dataset).size() == dimensions)
        tables.push_back("/" + name);
    } catch (const hdf5::Failure&) { // a group
    }
  return tables;
}

/// The path of the dataset to read.
std::string find_dataset(const hdf5::File& opened, const fs::path& file, const std::string& path) {
  const std::vector<std::string> tables = tables_in(opened, 2);
  if (path.empty() && tables.size() == 1)
    return tables.front();
  std::vector<std::string> columns = tables_in(opened, 1);
  if (path.empty() && tables.empty() && columns.size() == 1)
    return columns.front();
  columns.insert(columns.begin(), tables.begin(), tables.end());
  const std::string known = columns.empty() ? " its root group has none of numbers"
                                            : " its root group has " + join(columns);
  if (path.empty())
    refuse(file, "name the dataset to read, as FILE.h5:/PATH;" + known);
  try {
    const hdf5::Dataset dataset = hdf5::open_dataset(opened.get(), path.c_str());
    if (size_of(dataset)[1] > 0)
      return path;
  } catch (const hdf5::Failure&) {
    refuse(file, "has no dataset " + in_quotes(path) + ";" + known);
  }
  refuse(file, "dataset " + in_quotes(path) + " is no table of numbers of two dimensions;" + known);
}

hdf5::File open_table(const fs::path& file) {
  try {
    return hdf5::open_file(file, false);
  } catch (const hdf5::Failure& failure) {
    refuse(file, std::string("is no HDF5 file that can be read: ") + failure.what());
  }
}

Form find_form(const fs::path& file, const TableOptions& options) {
  const hdf5::File opened = open_table(file);
  Form form;
  form.dataset = find_dataset(opened, file, options.dataset);
  const auto [rows, columns] = size_of(hdf5::open_dataset(opened.get(), form.dataset.c_str()));
  if (rows == 0)
    refuse(file, "dataset " + form.dataset + " has no rows; write some");
  if (static_cast<double>(rows) * static_cast<double>(columns) >
      most_packed * static_cast<double>(fs::file_size(file)))
    refuse(file, "dataset " + form.dataset + " claims more rows than the file can hold");
  keep_columns(form, file, options, columns, {});
  form.shape.rows = rows;
  return form;
}

/// Reads rows whole.
void read_block(const hdf5::Dataset& dataset, TaskRange rows, double* out) {
  hdf5::Shape count = hdf5::shape_of(dataset);
  hdf5::Shape first(count.size(), 0);
  first.front() = static_cast<hsize_t>(rows.first);
  count.front() = static_cast<hsize_t>(rows.size());
  const hdf5::Space in_file(hdf5::checked(H5Dget_space(dataset.get()), "find a dataspace"));
  const hdf5::Space in_memory(hdf5::checked(
      H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), "select rows"));
  hdf5::checked(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, first.data(), nullptr,
                                    count.data(), nullptr),
                "select rows");
  hdf5::checked(
      H5Dread(dataset.get(), H5T_NATIVE_DOUBLE, in_memory.get(), in_file.get(), H5P_DEFAULT, out),
      "read rows");
}

/// Reads rows block by block, to keep some of their columns.
void read_kept(const hdf5::Dataset& dataset, const Form& form, TaskRange rows, double* out) {
  const auto columns = std::ssize(form.kept);
  const std::int64_t step =
      std::max(read_bytes / (columns * std::int64_t{sizeof(double)}), std::int64_t{1});
  std::vector<double> block;
  for (std::int64_t first = rows.first; first < rows.last; first += step) {
    const TaskRange some{first, std::min(first + step, rows.last)};
    block.resize(static_cast<std::size_t>(some.size() * columns));
    read_block(dataset, some, block.data());
    for (std::size_t i = 0; i < block.size(); ++i)
      if (form.kept[i % form.kept.size()] != 0)
        *out++ = block[i];
  }
}

void require_finite(const Table& table, const Form& form, const fs::path& file) {
  const auto wrong =
      std::ranges::find_if(table.values, [](double value) { return !std::isfinite(value); });
  if (wrong == table.values.end())
    return;
  const std::int64_t at = wrong - table.values.begin();
  std::int64_t left = at % form.shape.columns;
  const auto kept = std::ranges::find_if(form.kept, [&](char k) { return k != 0 && left-- == 0; });
  refuse(file.string() + ":" + form.dataset,
         "row " + std::to_string(table.own.first + at / form.shape.columns) + " (from 0), " +
             column_text(kept - form.kept.begin(), {}) +
             " is not a finite number; mend it, or leave the column out by drop_columns=" +
             std::to_string(kept - form.kept.begin()));
}

/// Like together(), but where ranks are threads of one process they take turns: HDF5 is not
/// thread-safe.
template <class Work>
void in_turns(const Comm& comm, Work work) {
  std::exception_ptr failure;
  const int turns = comm.one_process() ? comm.size() : 1;
  for (int turn = 0; turn < turns; ++turn) {
    if (turns == 1 || turn == comm.rank())
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
    comm.barrier();
  }
  raise_together(comm, failure);
}

} // namespace

Table read_hdf5(const Comm& comm, const fs::path& file, const TableOptions& options,
                const RowsOfRank& rows_of) {
  const Form form = from_root(comm, [&] {
    const hdf5::Quiet quiet;
    return find_form(file, options);
  });
  Table table = make_table(comm, form.shape, rows_of);
  in_turns(comm, [&] {
    if (table.own.empty())
      return;
    const hdf5::Quiet quiet;
    try {
      const hdf5::File opened = open_table(file);
      const hdf5::Dataset dataset = hdf5::open_dataset(opened.get(), form.dataset.c_str());
      if (form.shape.columns == std::ssize(form.kept))
        read_block(dataset, table.own, table.values.data());
      else
        read_kept(dataset, form, table.own, table.values.data());
    } catch (const hdf5::Failure& failure) {
      refuse(file, std::string("cannot be read on host ") + comm.host_of(comm.rank()) + ": " +
                       failure.what());
    }
  });
  together(comm, [&] { require_finite(table, form, file); });
  return table;
}

} // namespace cleave::table
