#include "handle.hpp"
#include "table_lines.hpp"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace cleave::table {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t dealt_bytes = std::int64_t{1} << 20; // dealt out at once

struct GzTraits {
  using Value = gzFile;
  static constexpr gzFile none = nullptr;
  static void close(gzFile file) noexcept { gzclose(file); }
};

/// Reads on, unless the file is damaged or cut.
std::size_t read_some(gzFile from, const fs::path& file, std::span<char> to) {
  const int got = gzread(from, to.data(), static_cast<unsigned>(std::min(to.size(), 1UL << 30)));
  int error = Z_OK;
  const char* const text = gzerror(from, &error);
  if (got < 0 || (error != Z_OK && error != Z_STREAM_END))
    refuse(file, std::string("cannot be unpacked: ") +
                     (error == Z_ERRNO ? std::strerror(errno) : text) +
                     "; is it whole? try gunzip -t");
  return static_cast<std::size_t>(got);
}

/// The lines of the unpacked file.
Lines unpacked(const fs::path& file, std::int64_t offset = 0, std::int64_t line = 1) {
  const auto opened = std::make_shared<Handle<GzTraits>>(gzopen(file.c_str(), "rb"));
  if (!*opened)
    refuse(file, std::string("cannot be opened: ") + std::strerror(errno));
  if (gzdirect(opened->get()) != 0)
    refuse(file, "is not packed by gzip; name it .csv if it is plain text");
  if (gzseek(opened->get(), offset, SEEK_SET) < 0)
    static_cast<void>(read_some(opened->get(), file, {}));
  const auto read = [opened, file](std::span<char> to) {
    return read_some(opened->get(), file, to);
  };
  return {file, read, offset, line};
}

Form count_rows(const fs::path& file, const TableOptions& options) {
  Lines head = unpacked(file);
  Form form = form_of(head, file, options);
  Lines body = unpacked(file, form.body, form.body_line);
  while (body.next_row())
    ++form.shape.rows;
  if (form.shape.rows == 0)
    refuse(file, "has no rows below its header; give a line of numbers for each");
  return form;
}

/// The rows that `own` shares with a block.
Part shared_part(TaskRange own, TaskRange block) {
  const std::int64_t first = std::max(own.first, block.first);
  return {first - block.first, std::max(std::min(own.last, block.last) - first, std::int64_t{0})};
}

} // namespace

Table read_gz(const Comm& comm, const fs::path& file, const TableOptions& options,
              const RowsOfRank& rows_of) {
  const Form form = from_root(comm, [&] { return count_rows(file, options); });
  Table table = make_table(comm, form.shape, rows_of);
  const std::int64_t columns = form.shape.columns;
  const std::int64_t block_rows =
      std::max(dealt_bytes / (columns * std::int64_t{sizeof(double)}), std::int64_t{1});

  std::optional<Lines> lines;
  std::vector<double> block;
  const auto read_block = [&](std::int64_t rows) {
    if (!lines)
      lines = unpacked(file, form.body, form.body_line);
    block.resize(static_cast<std::size_t>(rows * columns));
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto text = lines->next_row();
      if (!text)
        refuse(file, "has changed while it was read; leave it alone meanwhile");
      read_row(*text, form, file, lines->line() - 1,
               &block[static_cast<std::size_t>(row * columns)]);
    }
  };
  auto place = std::span(table.values);
  for (std::int64_t first = 0; first < form.shape.rows; first += block_rows) {
    const TaskRange rows{first, std::min(first + block_rows, form.shape.rows)};
    together(comm, [&] {
      if (comm.is_root())
        read_block(rows.size());
    });
    std::vector<Part> parts;
    for (int rank = 0; rank < comm.size(); ++rank) {
      const Part part = shared_part(rows_of(form.shape, rank), rows);
      parts.push_back({part.first * columns, part.count * columns});
    }
    for (Part& part : parts)
      part.first = part.count == 0 ? 0 : part.first;
    const auto mine = static_cast<std::size_t>(parts[static_cast<std::size_t>(comm.rank())].count);
    comm.scatterv(std::span<const double>(block), std::span<const Part>(parts), place.first(mine));
    place = place.subspan(mine);
  }
  return table;
}

} // namespace cleave::table
