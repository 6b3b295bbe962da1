#include "table_lines.hpp"

#include "words.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>
#include <utility>

namespace cleave::table {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
constexpr std::size_t longest_line = std::size_t{64} << 20;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool blank(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r';
}

/// Takes a number off the front of a text, with blanks and quotes around it; false: there is none
/// that is finite.
bool take_number(std::string_view& text, double& value) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto pass_blanks = [&] {
    while (at != end && blank(*at))
      ++at;
  };
  pass_blanks();
  const bool quoted = at != end && *at == '"';
  at += quoted ? 1 : 0;
  if (at != end && *at == '+' && at + 1 != end && at[1] != '-')
    ++at;
  const auto [stop, error] = std::from_chars(at, end, value);
  if (error != std::errc{} || !std::isfinite(value))
    return false;
  at = stop;
  if (quoted && (at == end || *at++ != '"'))
    return false;
  pass_blanks();
  text.remove_prefix(static_cast<std::size_t>(at - text.data()));
  return true;
}

/// Takes a cell off the front of a text, up to the comma behind it, quotes and all.
std::string_view take_raw(std::string_view& text) noexcept {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < text.size() && (quoted || text[at] != ','); ++at)
    quoted = quoted != (text[at] == '"');
  const std::string_view cell = text.substr(0, at);
  text.remove_prefix(at);
  return cell;
}

/// The same without quotes, and blanks around it.
std::string take_cell(std::string_view& text) {
  std::string cell;
  char before = ',';
  for (const char c : take_raw(text)) {
    if (c != '"' || before == '"') // two quotes stand for one
      cell += c;
    before = c == '"' && before == '"' ? ',' : c;
  }
  while (!cell.empty() && blank(cell.back()))
    cell.pop_back();
  cell.erase(0, std::min(cell.find_first_not_of(" \t"), cell.size()));
  return cell;
}

std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells{take_cell(line)};
  for (; !line.empty(); cells.push_back(take_cell(line)))
    line.remove_prefix(1);
  return cells;
}

bool is_number(std::string_view cell) {
  double value = 0;
  cell.remove_prefix(cell.starts_with('+') ? 1 : 0);
  const auto [stop, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error != std::errc::invalid_argument && stop == cell.data() + cell.size();
}

/// read_row where nothing is wrong; else false.
bool try_row(std::string_view text, const Form& form, double* out) noexcept {
  for (std::size_t c = 0; c < form.kept.size(); ++c) {
    if (c > 0) {
      if (!text.starts_with(','))
        return false;
      text.remove_prefix(1);
    }
    if (form.kept[c] == 0)
      static_cast<void>(take_raw(text));
    else if (!take_number(text, *out++))
      return false;
  }
  return text.empty();
}

std::string shortened(const std::string& cell) {
  constexpr std::size_t most = 40;
  return in_quotes(cell.size() > most ? cell.substr(0, most) + "..." : cell);
}

/// Says what is wrong with a line that try_row does not read.
[[noreturn]] void explain_row(std::string_view text, const Form& form, const fs::path& file,
                              std::int64_t line) {
  const std::vector<std::string> cells = cells_of(text);
  if (cells.size() != form.kept.size())
    refuse(file,
           "has " + std::to_string(cells.size()) + " columns where the first line has " +
               std::to_string(form.kept.size()) + "; give every line as many",
           line);
  for (std::size_t c = 0; c < cells.size(); ++c) {
    std::string_view rest = cells[c];
    double value = 0;
    if (form.kept[c] == 0 || (take_number(rest, value) && rest.empty()))
      continue;
    const auto column = static_cast<std::int64_t>(c);
    const std::string mend =
        "; mend the cell, or leave the column out by drop_columns=" + std::to_string(column);
    const char* const what = cells[c].empty()      ? " is empty"
                             : is_number(cells[c]) ? " is not a finite number"
                                                   : " is not a number";
    refuse(file,
           column_text(column, form.names) +
               (cells[c].empty() ? "" : ", " + shortened(cells[c]) + ",") + what + mend,
           line);
  }
  refuse(file, "is not a line of numbers between commas", line);
}

} // namespace

Lines::Lines(fs::path file, Read read, std::int64_t offset, std::int64_t line)
    : file_(std::move(file)), read_(std::move(read)), start_(offset), offset_(offset), line_(line),
      buffer_(buffer_bytes) {}

void Lines::refill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  if (end_ == buffer_.size()) {
    if (end_ >= longest_line)
      refuse(file_, "is longer than 64 MiB; is this a table of numbers between commas?", line_);
    buffer_.resize(2 * buffer_.size());
  }
  const std::size_t got = read_(std::span(buffer_).subspan(end_));
  over_ = got == 0;
  end_ += got;
}

std::optional<std::string_view> Lines::next() {
  for (std::size_t searched = 0;;) {
    const char* const from = buffer_.data() + begin_;
    const std::size_t held = end_ - begin_;
    const auto* end = static_cast<const char*>(std::memchr(from + searched, '\n', held - searched));
    if (end == nullptr && !over_) {
      searched = held;
      refill();
      continue;
    }
    if (held == 0)
      return std::nullopt;
    const std::size_t length = end == nullptr ? held : static_cast<std::size_t>(end - from);
    const std::size_t passed = length + (end == nullptr ? 0 : 1);
    begin_ += passed;
    start_ = offset_;
    offset_ += static_cast<std::int64_t>(passed);
    ++line_;
    return std::string_view(from, length);
  }
}

std::optional<std::string_view> Lines::next_row() {
  auto line = next();
  while (line && is_blank(*line))
    line = next();
  return line;
}

bool is_blank(std::string_view line) noexcept {
  return std::ranges::all_of(line, blank);
}

Form form_of(Lines& lines, const fs::path& file, const TableOptions& options) {
  auto first = lines.next_row();
  if (!first)
    refuse(file, "has blank lines alone; give a line of numbers for each row");
  const std::int64_t line = lines.line() - 1;
  const bool marked = line == 1 && first->starts_with(byte_order_mark);
  first->remove_prefix(marked ? byte_order_mark.size() : 0);
  if (first->find('\0') != std::string_view::npos)
    refuse(file, "is no text; give numbers between commas", line);

  Form form;
  const std::vector<std::string> cells = cells_of(*first);
  const bool header = std::ranges::none_of(cells, is_number);
  form.body = header ? lines.offset() : lines.start() + (marked ? std::ssize(byte_order_mark) : 0);
  form.body_line = header ? line + 1 : line;
  keep_columns(form, file, options, std::ssize(cells), header ? cells : std::vector<std::string>());
  return form;
}

void read_row(std::string_view text, const Form& form, const fs::path& file, std::int64_t line,
              double* out) {
  if (!try_row(text, form, out))
    explain_row(text, form, file, line);
}

} // namespace cleave::table
