#include "handle.hpp"
#include "table_lines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace cleave::table {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_to_read(const Comm& comm, const fs::path& file, int error) {
  refuse(file, "cannot be read on host " + comm.host_of(comm.rank()) + ": " + std::strerror(error) +
                   "; every node must see the file");
}

/// The file's lines from `offset` on.
Lines lines_from(const Comm& comm, const fs::path& file, std::int64_t offset = 0,
                 std::int64_t line = 1) {
  const auto opened = std::make_shared<Descriptor>(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*opened)
    refuse_to_read(comm, file, errno);
  const auto read = [&comm, file, opened, at = offset](std::span<char> to) mutable {
    const ssize_t got = pread(opened->get(), to.data(), to.size(), at);
    if (got < 0)
      refuse_to_read(comm, file, errno);
    at += got;
    return static_cast<std::size_t>(got);
  };
  return {file, read, offset, line};
}

/// The lines that begin in a rank's share of the file's bytes.
struct Share {
  std::int64_t first = 0; // offset of the first line
  std::int64_t lines = 0;
  std::int64_t rows = 0; // lines that are not blank
};

Share count_share(const Comm& comm, const fs::path& file, const Form& form) {
  const auto size = static_cast<std::int64_t>(fs::file_size(file));
  const TaskRange bytes = block_range(size - form.body, comm.size(), comm.rank());
  const bool at_begin = bytes.first == 0;
  Lines lines = lines_from(comm, file, form.body + bytes.first - (at_begin ? 0 : 1));
  if (!at_begin) // a line that begins in the share before, or the end of its last one
    static_cast<void>(lines.next());
  Share share{.first = lines.offset()};
  while (lines.offset() < form.body + bytes.last)
    if (const auto line = lines.next()) {
      ++share.lines;
      share.rows += is_blank(*line) ? 0 : 1;
    } else {
      break;
    }
  return share;
}

/// Reads the rows of `table` from the share that its first row lies in.
void read_rows(const Comm& comm, const fs::path& file, const Form& form,
               const std::vector<Share>& shares, Table& table) {
  if (table.own.empty())
    return;
  std::int64_t row = 0;
  std::int64_t line = form.body_line;
  auto share = shares.begin();
  for (; row + share->rows <= table.own.first; ++share) {
    row += share->rows;
    line += share->lines;
  }
  Lines lines = lines_from(comm, file, share->first, line);
  for (double* out = table.values.data(); row < table.own.last; ++row) {
    const auto text = lines.next_row();
    if (!text)
      refuse(file, "has changed while it was read; leave it alone meanwhile");
    if (row < table.own.first)
      continue;
    read_row(*text, form, file, lines.line() - 1, out);
    out += form.shape.columns;
  }
}

} // namespace

Table read_csv(const Comm& comm, const fs::path& file, const TableOptions& options,
               const RowsOfRank& rows_of) {
  Form form = from_root(comm, [&] {
    Lines lines = lines_from(comm, file);
    return form_of(lines, file, options);
  });
  Share own;
  together(comm, [&] { own = count_share(comm, file, form); });
  const std::vector<Share> shares = comm.all_gather(own);
  for (const Share& share : shares)
    form.shape.rows += share.rows;
  together(comm, [&] {
    if (form.shape.rows == 0)
      refuse(file, "has no rows below its header; give a line of numbers for each");
  });
  Table table = make_table(comm, form.shape, rows_of);
  together(comm, [&] { read_rows(comm, file, form, shares, table); });
  return table;
}

} // namespace cleave::table
