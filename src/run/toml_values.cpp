#include "toml_values.hpp"

#include "../words.hpp"

#include <array>
#include <charconv>

namespace cleave {
namespace {

bool is_switch(const Parameter& parameter) {
  return parameter.choices == std::vector<std::string>{"true", "false"};
}

bool is_numeric(const Parameter& parameter) {
  return parameter.type == ParameterType::integer || parameter.type == ParameterType::integers ||
         parameter.type == ParameterType::real;
}

// The TOML type that a parameter wants, in words.
std::string wanted(const Parameter& parameter) {
  if (parameter.type == ParameterType::integers)
    return "a number or a list of numbers, without quotes";
  if (is_numeric(parameter))
    return "a number without quotes";
  return is_switch(parameter) ? "true or false" : "text in quotes";
}

std::string type_name(const toml::node& node) {
  switch (node.type()) {
  case toml::node_type::table:
    return "a table";
  case toml::node_type::array:
    return "a list";
  case toml::node_type::string:
    return "text";
  case toml::node_type::boolean:
    return "true or false";
  case toml::node_type::integer:
  case toml::node_type::floating_point:
    return "a number";
  default:
    return "a date or time";
  }
}

std::string list_text(const toml::array& list, const Parameter& parameter,
                      const std::string& file) {
  std::vector<std::string> texts;
  for (const toml::node& element : list) {
    if (!element.is_number())
      throw wrong_toml_type(toml_place(element, parameter.name, file),
                            "a list of numbers without quotes", element);
    texts.push_back(toml_number(element));
  }
  return join(texts, ",");
}

} // namespace

ErrorPlace toml_place(const toml::node& node, const std::string& key, const std::string& file) {
  return {file, static_cast<int>(node.source().begin.line), key};
}

Error wrong_toml_type(const ErrorPlace& place, const std::string& right, const toml::node& node) {
  return {ErrorKind::bad_input, "must be " + right + ", not " + type_name(node), place};
}

std::string toml_number(const toml::node& node) {
  if (const auto* integer = node.as_integer())
    return std::to_string(integer->get());
  std::array<char, 32> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), node.as_floating_point()->get());
  return {buffer.data(), end.ptr};
}

std::string toml_text(const toml::node& node, const Parameter& parameter, const std::string& file) {
  const bool numeric = is_numeric(parameter);
  const bool count_or_word = parameter.name == "threads" && !numeric; // 4 or "auto"
  if (node.is_number() && (numeric || count_or_word))
    return toml_number(node);
  if (node.is_boolean() && is_switch(parameter))
    return node.as_boolean()->get() ? "true" : "false";
  if (node.is_string() && !numeric && !is_switch(parameter))
    return node.as_string()->get();
  if (node.is_array() && parameter.type == ParameterType::integers)
    return list_text(*node.as_array(), parameter, file);
  throw wrong_toml_type(toml_place(node, parameter.name, file), wanted(parameter), node);
}

} // namespace cleave
