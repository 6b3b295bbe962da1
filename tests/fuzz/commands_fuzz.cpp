// What names the tasks of a farm: a command line, a template, ranges, a CSV file. The first byte
// chooses. Refused as bad input, or taken apart and put together again.
#include "cleave/error.hpp"
#include "command/rows.hpp"
#include "command/shell_words.hpp"
#include "command/template.hpp"
#include "in_memory.hpp"

#include <cstdlib>
#include <string_view>

namespace {

using namespace cleave::command;

void try_line(std::string_view text) {
  const std::vector<std::string> words = shell_words(text);
  if (shell_words(shell_line(words)) != words)
    std::abort();
}

void try_template(std::string_view text, bool shell) {
  const std::vector<std::string> values = {"a 'b", "$(c)"};
  const std::vector<std::string> words = Template(text, {"x", "name"}, shell).fill(7, values);
  if (words.empty() && shell)
    std::abort();
}

void try_rows(Rows rows) {
  for (int i = 0; i < 100; ++i)
    if (const auto row = rows.next(); !row)
      return;
    else if (row->values.size() != rows.names.size())
      std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static cleave::fuzz::InMemory file("csv");
  if (size == 0)
    return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0]) {
    case 'l':
      try_line(text);
      break;
    case 't':
    case 's':
      try_template(text, data[0] == 's');
      break;
    case 'r':
      try_rows(range_rows(text));
      break;
    case 'c':
      try_rows(csv_rows(file.hold(data + 1, size - 1)));
      break;
    default:
      break;
    }
  } catch (const cleave::Error& error) {
    if (error.kind() != cleave::ErrorKind::bad_input)
      std::abort();
  }
  return 0;
}
