#include "cleave/columns.hpp"
#include "cleave/error.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"

#include <cstddef>
#include <numeric>

namespace cleave {
namespace {

void label(const hdf5::Dataset& dataset, const std::string& units, const std::string& long_name) {
  if (!units.empty())
    hdf5::write_text_attribute(dataset.get(), "units", units);
  hdf5::write_text_attribute(dataset.get(), "long_name", long_name);
}

std::size_t rows_of(const Column& column) {
  return std::visit([](const auto& values) { return values.size(); }, column.values);
}

/// Writes one table into its group.
class TableWriter {
public:
  TableWriter(hid_t group, const ColumnTable& table)
      : group_(group), table_(table),
        rows_(table.columns.empty() ? 0 : rows_of(table.columns.front())),
        dimension_(numbered(table.dimension)) {}

  void write() {
    for (const auto& [name, text] : table_.attributes)
      hdf5::write_text_attribute(group_, name.c_str(), text);
    for (const Column& column : table_.columns)
      write(column);
    dimension_.finish();
  }

private:
  [[nodiscard]] hdf5::Dimension numbered(const std::string& name) const {
    std::vector<std::int64_t> numbers(rows_);
    std::iota(numbers.begin(), numbers.end(), 0);
    auto scale = hdf5::write_numbers<std::int64_t>(group_, name.c_str(), numbers, {rows_});
    label(scale, "1", "row");
    return {std::move(scale), name};
  }

  void write(const Column& column) {
    if (rows_of(column) != rows_)
      throw Error(ErrorKind::bad_input, "column " + column.name + " has another length");
    const hdf5::Dataset dataset = std::visit(
        [&](const auto& values) { return written(column.name.c_str(), values); }, column.values);
    label(dataset, column.units, column.long_name);
    hdf5::Dimension* const dimension = &dimension_;
    hdf5::describe(dataset, {&dimension, 1});
  }

  template <class T>
  hdf5::Dataset written(const char* name, const std::vector<T>& values) const {
    return hdf5::write_numbers<T>(group_, name, values, {rows_});
  }
  hdf5::Dataset written(const char* name, const std::vector<std::string>& values) const {
    return hdf5::write_strings(group_, name, values, {rows_});
  }

  hid_t group_;
  const ColumnTable& table_;
  std::size_t rows_;
  hdf5::Dimension dimension_;
};

} // namespace

void write_columns(const std::filesystem::path& file, std::span<const ColumnTable> tables) {
  const hdf5::Quiet quiet;
  try {
    const hdf5::File made = hdf5::create_in_memory();
    for (const ColumnTable& table : tables) {
      if (table.group.empty()) {
        TableWriter(made.get(), table).write();
        continue;
      }
      const hdf5::Group group = hdf5::create_group(made, table.group.c_str());
      TableWriter(group.get(), table).write();
    }
    NewFile fresh(file);
    fresh.write(hdf5::bytes_of(made));
    fresh.replace();
  } catch (const std::runtime_error& failure) { // hdf5::Failure, FileFailure
    if (dynamic_cast<const Error*>(&failure) != nullptr)
      throw;
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  }
}

} // namespace cleave
