// A CSV table: refused as bad input, or the same numbers however its bytes come in.
#include "table_lines.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace cleave;

struct Outcome {
  std::vector<double> numbers;
  std::string refusal;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::span<const char> text, std::size_t most, const TableOptions& options) {
  const auto piece = [rest = text, most](std::span<char> to) mutable {
    const std::size_t got = std::min({most, to.size(), rest.size()});
    std::copy_n(rest.begin(), got, to.begin());
    rest = rest.subspan(got);
    return got;
  };
  Outcome outcome;
  try {
    table::Lines lines("t.csv", piece);
    const table::Form form = table::form_of(lines, "t.csv", options);
    const auto columns = static_cast<std::size_t>(form.shape.columns);
    table::Lines body("t.csv", [rest = text.subspan(static_cast<std::size_t>(form.body)),
                                most](std::span<char> to) mutable {
      const std::size_t got = std::min({most, to.size(), rest.size()});
      std::copy_n(rest.begin(), got, to.begin());
      rest = rest.subspan(got);
      return got;
    });
    std::vector<double> row(columns);
    while (const auto line = body.next_row()) {
      table::read_row(*line, form, "t.csv", body.line() - 1, row.data());
      outcome.numbers.insert(outcome.numbers.end(), row.begin(), row.end());
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input)
      std::abort();
    outcome.refusal = error.what();
  }
  if (!std::ranges::all_of(outcome.numbers, [](double x) { return std::isfinite(x); }))
    std::abort();
  return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const char> text(reinterpret_cast<const char*>(data), size);
  TableOptions options;
  if (size > 0 && data[0] % 4 == 0)
    options.drop_columns = "-1,name";
  if (read(text, size, options) != read(text, 7, options))
    std::abort();
  return 0;
}
