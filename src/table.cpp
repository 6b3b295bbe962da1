#include "cleave/table.hpp"

#include "cleave/serialize.hpp"
#include "serialize_error.hpp"
#include "table_parts.hpp"
#include "words.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

namespace cleave {
namespace table {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> packed_failure(const std::exception_ptr& failure, const Comm& comm) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return packed(error);
  } catch (const std::bad_alloc&) {
    return packed({ErrorKind::io, "no memory on host " + comm.host_of(comm.rank()) +
                                      " for this rank's rows; use more ranks, or nodes"});
  } catch (...) {
    return packed({ErrorKind::io, current_exception_words().what});
  }
}

/// The number of a column that the user names; nothing where there is none.
std::optional<std::int64_t> find_column(const std::string& name, std::int64_t columns,
                                        const std::vector<std::string>& names) {
  std::int64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error == std::errc{} && stop == end) {
    number += number < 0 ? columns : 0;
    return number >= 0 && number < columns ? std::optional(number) : std::nullopt;
  }
  const auto found = std::ranges::find(names, name);
  return found == names.end() ? std::nullopt : std::optional(found - names.begin());
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    items.emplace_back(item.substr(0, item.find_last_not_of(' ') + 1));
  }
  return items;
}

} // namespace

void refuse(const fs::path& file, const std::string& message, std::int64_t line) {
  const auto shown = std::min(line, std::int64_t{std::numeric_limits<int>::max()});
  throw Error(ErrorKind::bad_input, message, {file.string(), static_cast<int>(shown), {}});
}

void require_file(const fs::path& file) {
  std::error_code failure;
  const auto status = fs::status(file, failure);
  if (!fs::exists(status))
    refuse(file, "there is no such file; give the name of a .csv, .csv.gz or .h5");
  if (!fs::is_regular_file(status))
    refuse(file, fs::is_directory(status) ? "is a directory; give the name of a file in it"
                                          : "is not a regular file; write the table to one");
  if (fs::file_size(file, failure) == 0)
    refuse(file, "is empty; give a line of numbers for each row");
}

void keep_columns(Form& form, const fs::path& file, const TableOptions& options,
                  std::int64_t columns, const std::vector<std::string>& names) {
  form.names = names;
  form.kept.assign(static_cast<std::size_t>(columns), 1);
  for (const std::string& name : split(options.drop_columns)) {
    const auto column = find_column(name, columns, names);
    if (!column)
      throw Error(ErrorKind::bad_input,
                  "there is no column " + in_quotes(name) + " in " + file.string() +
                      "; its columns are 0 to " + std::to_string(columns - 1) +
                      (names.empty() ? ", without names" : ": " + join(names)),
                  {"", 0, "drop_columns"});
    form.kept[static_cast<std::size_t>(*column)] = 0;
  }
  for (std::size_t c = 0; c < names.size(); ++c)
    if (form.kept[c] != 0)
      form.shape.names.push_back(names[c]);
  form.shape.columns = std::ranges::count(form.kept, 1);
  if (form.shape.columns == 0)
    throw Error(ErrorKind::bad_input, "no column of " + file.string() + " is left; drop fewer",
                {"", 0, "drop_columns"});
}

std::string column_text(std::int64_t column, const std::vector<std::string>& names) {
  const auto c = static_cast<std::size_t>(column);
  return "column " + std::to_string(column) + " (from 0" +
         (c < names.size() ? ", " + in_quotes(names[c]) : "") + ")";
}

void raise_together(const Comm& comm, const std::exception_ptr& mine) {
  if (comm.agree({mine ? 1U : 0U}).highest[0] == 0)
    return;
  const auto all =
      comm.all_gather_blobs(mine ? packed_failure(mine, comm) : std::vector<std::byte>());
  throw unpacked_error(*std::ranges::find_if(all, [](const auto& blob) { return !blob.empty(); }));
}

Form from_root(const Comm& comm, const std::function<Form()>& find) {
  Form form;
  together(comm, [&] {
    if (comm.is_root())
      form = find();
  });
  Packer packer;
  packer.put(form.shape.rows);
  packer.put(form.shape.columns);
  packer.put(form.shape.names);
  packer.put(form.kept);
  packer.put(form.names);
  packer.put(form.body);
  packer.put(form.body_line);
  packer.put(form.dataset);
  const std::string bytes = comm.broadcast(
      std::string(reinterpret_cast<const char*>(packer.bytes().data()), packer.bytes().size()));
  Unpacker from(std::as_bytes(std::span(bytes)));
  form.shape.rows = from.get<std::int64_t>();
  form.shape.columns = from.get<std::int64_t>();
  form.shape.names = from.get<std::vector<std::string>>();
  form.kept = from.get<std::vector<char>>();
  form.names = from.get<std::vector<std::string>>();
  form.body = from.get<std::int64_t>();
  form.body_line = from.get<std::int64_t>();
  form.dataset = from.get<std::string>();
  return form;
}

Table make_table(const Comm& comm, const TableShape& shape, const RowsOfRank& rows_of) {
  Table table;
  together(comm, [&] {
    table.shape = shape;
    table.own = rows_of(shape, comm.rank());
    table.values.resize(static_cast<std::size_t>(table.own.size() * shape.columns));
  });
  return table;
}

} // namespace table

namespace {

/// Where ":/path" begins in NAME.h5:/path.
std::size_t dataset_at(const std::string& name) {
  for (const char* const mark : {".h5:/", ".hdf5:/"})
    if (const auto at = name.find(mark); at != std::string::npos)
      return name.find(':', at);
  return std::string::npos;
}

} // namespace

std::filesystem::path table_file(const std::filesystem::path& name) {
  return name.string().substr(0, dataset_at(name.string()));
}

Table read_table(const Comm& comm, const std::filesystem::path& file, const TableOptions& options,
                 const RowsOfRank& rows_of) {
  const std::string name = file.string();
  const std::filesystem::path in = table_file(file);
  TableOptions wanted = options;
  if (in != file && wanted.dataset.empty())
    wanted.dataset = name.substr(dataset_at(name) + 1);
  const std::string suffix = lower_case(in.extension().string());
  table::together(comm, [&] {
    if (comm.is_root())
      table::require_file(in);
  });
  if (suffix == ".h5" || suffix == ".hdf5")
    return table::read_hdf5(comm, in, wanted, rows_of);
  if (suffix == ".gz")
    return table::read_gz(comm, in, wanted, rows_of);
  return table::read_csv(comm, in, wanted, rows_of);
}

} // namespace cleave
