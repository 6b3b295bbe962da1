/// @file
/// The lines of a CSV text and the numbers in them.
#pragma once

#include "table_parts.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::table {

/// Takes a text apart that is read piece by piece.
class Lines {
public:
  /// Fills its argument as far as it can; returns the bytes, 0 at the end.
  using Read = std::function<std::size_t(std::span<char>)>;

  /// @param offset of the first byte that `read` gives, and the number of its line
  Lines(std::filesystem::path file, Read read, std::int64_t offset = 0, std::int64_t line = 1);

  /// The next line without its end, valid until the next call; nothing after the last.
  [[nodiscard]] std::optional<std::string_view> next();
  /// next(), blank lines passed over.
  [[nodiscard]] std::optional<std::string_view> next_row();
  /// Offset of the line that next() gave last.
  [[nodiscard]] std::int64_t start() const noexcept { return start_; }
  /// Offset and number of the line that next() will give.
  [[nodiscard]] std::int64_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::int64_t line() const noexcept { return line_; }

private:
  void refill();

  std::filesystem::path file_;
  Read read_;
  std::int64_t start_;
  std::int64_t offset_;
  std::int64_t line_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0; // of the next line
  std::size_t end_ = 0;   // of what has been read
  bool over_ = false;     // nothing is left to read
};

[[nodiscard]] bool is_blank(std::string_view line) noexcept;

/// What the first line tells. @param lines at its beginning
[[nodiscard]] Form form_of(Lines& lines, const std::filesystem::path& file,
                           const TableOptions& options);

/// Reads the kept columns of a line.
/// @param line its number @param out form.shape.columns numbers
/// @throws Error bad_input
void read_row(std::string_view text, const Form& form, const std::filesystem::path& file,
              std::int64_t line, double* out);

} // namespace cleave::table
