#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"
#include "words.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <type_traits>

namespace cleave {
namespace {

namespace fs = std::filesystem;

template <class T>
struct IsList : std::false_type {};
template <class T>
struct IsList<std::vector<T>> : std::true_type {};

/// Calls `f` with a span of the fact's values and whether they are a list.
template <class F>
void with_values(const Fact& fact, F f) {
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (IsList<T>::value)
          f(std::span(value), true);
        else
          f(std::span(&value, 1), false);
      },
      fact.value);
}

void write_facts(const hdf5::File& file, const Summary& summary) {
  for (const Fact& fact : summary)
    with_values(fact, [&]<class T>(std::span<const T> values, bool list) {
      const hdf5::Shape shape = list ? hdf5::Shape{values.size()} : hdf5::Shape{};
      if constexpr (std::is_same_v<T, std::string>)
        hdf5::write_strings(file.get(), fact.name.c_str(), values, shape);
      else
        hdf5::write_numbers(file.get(), fact.name.c_str(), values, shape);
    });
}

std::string as_json(const Summary& summary) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const Fact& fact : summary)
    std::visit([&](const auto& value) { object[fact.name] = value; }, fact.value);
  return object.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string cell(const std::string& text) { // RFC 4180
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

template <class Number>
std::string cell(Number value) { // the shortest text that reads back the same
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string as_csv(const Summary& summary) {
  std::vector<std::vector<std::string>> columns;
  std::size_t rows = 0;
  for (const Fact& fact : summary) {
    std::vector<std::string>& column = columns.emplace_back();
    column.push_back(cell(fact.name));
    with_values(fact, [&](auto values, bool) {
      for (const auto& value : values)
        column.push_back(cell(value));
    });
    rows = std::max(rows, column.size());
  }
  std::string text;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      text += i > 0 ? "," : "";
      text += row < columns[i].size() ? columns[i][row] : "";
    }
    text += "\n";
  }
  return text;
}

using Writer = std::function<void(const fs::path&, const Summary&)>;

void replace_file(const fs::path& file, std::span<const std::byte> bytes) {
  NewFile fresh(file);
  fresh.write(bytes);
  fresh.replace();
}

void replace_text(const fs::path& file, const std::string& text) {
  replace_file(file, std::as_bytes(std::span(text)));
}

void replace_hdf5(const fs::path& file, const Summary& summary) {
  const hdf5::File made = hdf5::create_in_memory();
  write_facts(made, summary);
  replace_file(file, hdf5::bytes_of(made));
}

void write_array(const hdf5::File& file, const Array& array, const fs::path& name) {
  const hdf5::Shape shape(array.shape.begin(), array.shape.end());
  std::visit(
      [&]<class T>(const std::vector<T>& values) {
        if (hdf5::elements(shape) != values.size())
          throw Error(ErrorKind::bad_input, array.name + " does not fill its shape",
                      {name.string(), 0, {}});
        hdf5::write_numbers(file.get(), array.name.c_str(), std::span<const T>(values), shape);
      },
      array.values);
}

/// Runs `write`, whose failures are those of a file that cannot be written.
template <class Write>
void writing(const fs::path& file, Write write) {
  const hdf5::Quiet quiet;
  try {
    write();
  } catch (const Error&) {
    throw;
  } catch (const std::runtime_error& failure) { // hdf5::Failure, FileFailure
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  }
}

Writer writer_for(const fs::path& file) {
  const std::string suffix = lower_case(file.extension().string());
  if (suffix == ".h5")
    return replace_hdf5;
  if (suffix == ".json")
    return [](const fs::path& to, const Summary& summary) { replace_text(to, as_json(summary)); };
  if (suffix == ".csv")
    return [](const fs::path& to, const Summary& summary) { replace_text(to, as_csv(summary)); };
  throw Error(ErrorKind::bad_input,
              (suffix.empty() ? "has no suffix" : "has the unknown suffix " + suffix) +
                  "; results are written as .h5, .json or .csv",
              {file.string(), 0, {}});
}

} // namespace

void write_summary(const fs::path& file, const Summary& summary) {
  const Writer write = writer_for(file);
  writing(file, [&] { write(file, summary); });
}

void write_arrays(const fs::path& file, const std::vector<Array>& arrays) {
  writing(file, [&] {
    const hdf5::File made = hdf5::create_in_memory();
    for (const Array& array : arrays)
      write_array(made, array, file);
    replace_file(file, hdf5::bytes_of(made));
  });
}

void accept_summary_file(const fs::path& file) {
  static_cast<void>(writer_for(file));
}

} // namespace cleave
