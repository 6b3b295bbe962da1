#include "jobs/matrix.hpp"

#include "cleave/pool.hpp"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace cleave {

std::vector<Parameter> matrix_parameters() {
  return {{.name = "input",
           .summary = "table of numbers: .csv, .csv.gz, .h5 or FILE.h5:/PATH",
           .type = ParameterType::input_file,
           .required = true},
          {.name = "dataset",
           .summary = "dataset of an .h5 input; empty: its only table",
           .type = ParameterType::text},
          {.name = "drop_columns",
           .summary = "columns to leave out, as 64,-1,label: from 0, from the end, or by name",
           .type = ParameterType::text}};
}

Matrix read_matrix(const Values& values, const Pool& pool,
                   const std::function<std::int64_t(const TableShape&)>& leaf_rows) {
  const auto leaves_of = [&](const TableShape& shape) {
    return Leaves(shape.rows, leaf_rows(shape));
  };
  const auto rows_of = [&](const TableShape& shape, int rank) {
    const Leaves leaves = leaves_of(shape);
    const TaskRange held = pool.leaves_of(leaves, rank);
    if (held.empty())
      return TaskRange{};
    return TaskRange{leaves.tasks_of(held.first).first, leaves.tasks_of(held.last - 1).last};
  };
  Table table = read_table(pool.comm(), values.file("input"),
                           {values.text("dataset"), values.text("drop_columns")}, rows_of);
  const Leaves leaves = leaves_of(table.shape);
  const std::int64_t columns = table.shape.columns;
  const Leaves numbers(table.shape.rows * columns, leaves.leaf_size() * columns);
  return {table.shape, leaves,
          Distributed<double>(numbers, pool.leaves_of(leaves, pool.comm().rank()),
                              std::move(table.values))};
}

void accept_arrays_file(const Values& values, std::string_view parameter) {
  const std::filesystem::path output = values.file(parameter);
  if (output.empty())
    return;
  if (output.extension() != ".h5")
    throw values.error(parameter, output.string() + " must end in .h5");
  std::error_code none;
  if (std::filesystem::equivalent(output, table_file(values.file("input")), none))
    throw values.error(parameter, output.string() + " is the input, which would be lost");
}

} // namespace cleave
