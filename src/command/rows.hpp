/// @file
/// The values that a template is filled with, row by row: ranges, a CSV file, the lines of a file.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::command {

/// One row of values, and the line of the file that it comes from; 0: of none.
struct Row {
  std::vector<std::string> values;
  int line = 0;
};

/// Names of fields, and their values row by row.
struct Rows {
  std::vector<std::string> names;
  std::function<std::optional<Row>()> next; ///< nothing when there are no more
};

/// Every combination of the values that `text` gives to its fields, the last one's varying first:
/// "frame=1..100", "frame=0..90..10 eye=left,right". Local.
/// @throws Error bad_input, without a place
[[nodiscard]] Rows range_rows(std::string_view text);

/// The rows of a CSV file as RFC 4180 has it, whose header names the fields. Local.
/// @throws Error bad_input that names file and line, by next() too: a file that cannot be read, no
///         or an odd header, a row of another width, a line break or NUL in a field
[[nodiscard]] Rows csv_rows(const std::filesystem::path& file);

} // namespace cleave::command
