#include "rows.hpp"

#include "../words.hpp"
#include "cleave/error.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>

namespace cleave::command {
namespace {

// The values of one field of a range: a list, or numbers that are made when they are wanted.
struct Axis {
  std::vector<std::string> list;
  std::int64_t first = 0;
  std::int64_t step = 1;
  std::int64_t count = 0; // of numbers; 0: the list counts

  [[nodiscard]] std::int64_t size() const { return count > 0 ? count : std::ssize(list); }
  [[nodiscard]] std::string at(std::int64_t i) const {
    return count > 0 ? std::to_string(first + i * step) : list[static_cast<std::size_t>(i)];
  }
};

Error bad_range(std::string_view part) {
  return {ErrorKind::bad_input,
          "must be FIELD=FIRST..LAST, FIELD=FIRST..LAST..STEP or FIELD=VALUE,VALUE, with blanks "
          "between fields, not " +
              in_quotes(part)};
}

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> parts;
  for (auto end = text.find(at); end != std::string_view::npos; end = text.find(at)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + at.size());
  }
  parts.push_back(text);
  return parts;
}

Axis number_axis(std::string_view values, std::string_view part) {
  constexpr std::int64_t most = 1'000'000'000'000'000; // far from where sums would overflow
  std::vector<std::int64_t> numbers;
  for (const std::string_view text : split(values, "..")) {
    std::int64_t& number = numbers.emplace_back(0);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number > most || number < -most)
      throw bad_range(part);
  }
  if (numbers.size() > 3)
    throw bad_range(part);
  const std::int64_t step = numbers.size() == 3 ? numbers[2] : (numbers[1] < numbers[0] ? -1 : 1);
  const std::int64_t span = numbers[1] - numbers[0];
  if (step == 0 || (span != 0 && (span > 0) != (step > 0)))
    throw Error(ErrorKind::bad_input, "a step must lead from the first number to the last, not as "
                                      "in " +
                                          in_quotes(part));
  return {.list = {}, .first = numbers[0], .step = step, .count = span / step + 1};
}

Axis axis_of(std::string_view values, std::string_view part) {
  if (values.empty())
    throw bad_range(part);
  if (values.find("..") != std::string_view::npos)
    return number_axis(values, part);
  Axis axis;
  for (const std::string_view value : split(values, ","))
    axis.list.emplace_back(value);
  return axis;
}

void accept_names(const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->empty() || name->find_first_of("{} \t\"") != std::string::npos)
      throw Error(ErrorKind::bad_input, "a field's name must not be empty nor hold blanks, quotes "
                                        "or braces, as " +
                                            in_quotes(*name) + " does");
    if (std::find(names.begin(), name, *name) != name)
      throw Error(ErrorKind::bad_input, "the field " + in_quotes(*name) + " is named twice");
  }
}

// Reads records of a CSV file one by one.
class CsvReader {
public:
  explicit CsvReader(const std::filesystem::path& file)
      : file_(file.string()), stream_(file, std::ios::binary) {
    if (!stream_.is_open())
      throw error(std::string("cannot be read: ") + std::strerror(errno));
  }

  [[nodiscard]] Error error(const std::string& message) const {
    return {ErrorKind::bad_input, message, {file_, line_, ""}};
  }

  // Blank lines are no records.
  std::optional<Row> next() {
    std::string line;
    while (std::getline(stream_, line)) {
      ++line_;
      if (line.ends_with('\r'))
        line.pop_back();
      if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) // what spreadsheets begin with
        line.erase(0, 3);
      if (!line.empty())
        return Row{fields(line), line_};
    }
    if (stream_.bad())
      throw error("cannot be read to its end");
    return std::nullopt;
  }

private:
  [[nodiscard]] std::vector<std::string> fields(std::string_view line) const {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else if (c == '"' && (quoted || fields.back().empty()))
        quoted = !quoted;
      else if (c == ',' && !quoted)
        fields.emplace_back();
      else if (c == '\0')
        throw error("has a NUL character, which no argument can hold");
      else
        fields.back() += c;
    }
    if (quoted)
      throw error("a quote is not closed: a field must lie on one line");
    return fields;
  }

  std::string file_;
  std::ifstream stream_;
  int line_ = 0;
};

} // namespace

Rows range_rows(std::string_view text) {
  Rows rows;
  auto axes = std::make_shared<std::vector<Axis>>();
  for (const std::string_view part : split(text, " ")) {
    if (part.empty())
      continue;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos)
      throw bad_range(part);
    rows.names.emplace_back(part.substr(0, equals));
    axes->push_back(axis_of(part.substr(equals + 1), part));
  }
  if (axes->empty())
    throw bad_range(text);
  accept_names(rows.names);
  rows.next = [axes, at = std::vector<std::int64_t>(axes->size()), over = false]() mutable {
    if (over)
      return std::optional<Row>();
    Row row;
    for (std::size_t i = 0; i < at.size(); ++i)
      row.values.push_back((*axes)[i].at(at[i]));
    over = true; // unless some field has another value to come
    for (std::size_t i = at.size(); over && i-- > 0;) {
      over = ++at[i] == (*axes)[i].size();
      at[i] = over ? 0 : at[i];
    }
    return std::optional(row);
  };
  return rows;
}

Rows csv_rows(const std::filesystem::path& file) {
  const auto reader = std::make_shared<CsvReader>(file);
  const std::optional<Row> header = reader->next();
  if (!header)
    throw reader->error("is empty; its first line must name the fields");
  try {
    accept_names(header->values);
  } catch (const Error& error) {
    throw reader->error(error.message());
  }
  return {header->values, [reader, width = header->values.size()] {
            std::optional<Row> row = reader->next();
            if (row && row->values.size() != width)
              throw reader->error("has " + std::to_string(row->values.size()) +
                                  " fields, where the header names " + std::to_string(width));
            return row;
          }};
}

} // namespace cleave::command
