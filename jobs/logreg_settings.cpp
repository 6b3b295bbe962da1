#include "jobs/logreg_training.hpp"
#include "jobs/matrix.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <system_error>

namespace cleave::logreg {
namespace {

/// A list of numbers, each in a range.
std::vector<double> numbers(const Values& values, const char* name, double least) {
  const std::string text = values.text(name);
  std::vector<double> list;
  for (const char* at = text.data(); at <= text.data() + text.size(); ++at) {
    const char* const end = text.data() + text.size();
    double number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || (stop != end && *stop != ',') || !std::isfinite(number) ||
        number < least)
      throw values.error(name,
                         "must be numbers of at least 0 between commas, such as 0.1,0.5, not \"" +
                             text + "\"");
    list.push_back(number);
    at = stop;
  }
  return list;
}

} // namespace

Settings settings_of(const Values& values) {
  Settings settings{.seed = static_cast<std::uint64_t>(values.integer("seed")),
                    .epochs = values.integer("epochs"),
                    .batches = static_cast<std::uint64_t>(values.integer("batches")),
                    .test_share = values.real("test_share"),
                    .folds = values.integer("folds"),
                    .output = values.file("output").lexically_normal()};
  for (const double rate : numbers(values, "rate", 0))
    for (const double l2 : numbers(values, "l2", 0))
      settings.grid.push_back({rate, l2});
  if (settings.grid.size() > 1 && settings.folds < 2)
    throw values.error("folds", "must be at least 2 to compare " +
                                    std::to_string(settings.grid.size()) + " settings");
  accept_arrays_file(values, "output");
  return settings;
}

std::int64_t find_label(const Values& values, const TableShape& shape) {
  const std::string name = values.text("label");
  std::int64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error == std::errc{} && stop == end)
    number += number < 0 ? shape.columns : 0;
  else
    number = std::ranges::find(shape.names, name) - shape.names.begin();
  if (number < 0 || number >= shape.columns || shape.columns < 2)
    throw values.error("label", "there is no column \"" + name + "\" beside others among the " +
                                    std::to_string(shape.columns) +
                                    " that are read; give a number from 0, -1 for the last, or a "
                                    "name of the header");
  return number;
}

std::vector<Parameter> parameters() {
  using enum ParameterType;
  std::vector<Parameter> all = matrix_parameters();
  const auto add = [&](const char* name, ParameterType type, const char* value, double minimum,
                       double maximum, const char* summary) {
    all.push_back({.name = name,
                   .summary = summary,
                   .type = type,
                   .default_value = value,
                   .minimum = minimum,
                   .maximum = maximum});
  };
  constexpr double any = std::numeric_limits<double>::infinity();
  add("label", text, "-1", -any, any,
      "column of the classes, from 0 among those read, -1 the last, or by name");
  add("test_share", real, "0.2", 1e-6, 0.999, "share of the rows that is kept to test with");
  add("seed", integer, "0", 0, 0x1p62, "of the rows to test with, of folds and of batches");
  add("epochs", integer, "100", 1, 1e9, "passes over the rows");
  add("batches", integer, "1", 1, 1e6, "steps in an epoch, each on random rows; 1: all rows");
  add("rate", text, "0.5", -any, any, "step length; several, as 0.1,0.5, are compared");
  add("l2", text, "1e-4", -any, any, "penalty on squares of weights; several are compared");
  add("folds", integer, "0", 0, 100, "of the cross-validation; 0: none");
  add("output", output_file, "", -any, any,
      ".h5 to write weights to; --force replaces one; empty: none");
  return all;
}

} // namespace cleave::logreg
