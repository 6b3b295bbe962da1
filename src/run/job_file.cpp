#include "../words.hpp"
#include "settings.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

namespace cleave {
namespace {

// Which settings may stand where: the table's name, empty for the top, and its keys.
struct Section {
  std::string table;
  std::vector<std::string> keys;
};

std::vector<Section> sections() {
  return {{"", {"workload", "schedule", "threads", "seed"}},
          {"measure", {"warmup", "repetitions", "budget_s"}},
          {"output", {"timings", "result", "trace", "force"}}};
}

bool is_switch(const Parameter& parameter) {
  return parameter.choices == std::vector<std::string>{"true", "false"};
}

// The TOML type that a parameter wants, in words.
std::string wanted(const Parameter& parameter) {
  switch (parameter.type) {
  case ParameterType::integer:
    return "a number without quotes";
  case ParameterType::integers:
    return "a number or a list of numbers, without quotes";
  case ParameterType::real:
    return "a number without quotes";
  case ParameterType::text:
  case ParameterType::input_file:
  case ParameterType::output_file:
    break;
  }
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

std::string number_text(const toml::node& node) {
  if (const auto* integer = node.as_integer())
    return std::to_string(integer->get());
  std::array<char, 32> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), node.as_floating_point()->get());
  return {buffer.data(), end.ptr};
}

// Reads one file; knows its name, so that every refusal names file, line and key.
class JobReader {
public:
  JobReader(const JobText& job, const std::vector<Workload>& workloads)
      : file_(job.file), base_(std::filesystem::path(job.file).parent_path()),
        workloads_(workloads) {}

  [[nodiscard]] JobFile read(const toml::table& top) const {
    refuse_unknown(top);
    JobFile job;
    const toml::node* workload = top.get("workload");
    if (workload == nullptr)
      throw Error(ErrorKind::bad_input, "missing; write workload = \"NAME\"",
                  {file_, 0, "workload"});
    const ErrorPlace place = place_of(*workload, "workload");
    if (!workload->is_string())
      throw wrong_type(place, "text in quotes", *workload);
    job.workload = workload->as_string()->get();
    const Workload& known = find_workload(workloads_, job.workload, place);
    for (const Section& section : sections())
      add(job.settings, section.table.empty() ? &top : table(top, section.table), section.keys,
          setting_parameters());
    std::vector<std::string> names;
    for (const Parameter& parameter : known.parameters)
      names.push_back(parameter.name);
    if (const toml::table* parameters = table(top, "parameters")) {
      for (auto&& [key, node] : *parameters)
        if (std::find(names.begin(), names.end(), key.str()) == names.end())
          throw Error(ErrorKind::bad_input, unknown_name("parameter", key.str(), names),
                      place_of(key));
      add(job.parameters, parameters, names, known.parameters);
    }
    return job;
  }

private:
  [[nodiscard]] ErrorPlace place_of(const toml::key& key) const {
    return {file_, static_cast<int>(key.source().begin.line), std::string(key.str())};
  }
  [[nodiscard]] ErrorPlace place_of(const toml::node& node, const std::string& key) const {
    return {file_, static_cast<int>(node.source().begin.line), key};
  }

  [[nodiscard]] static Error wrong_type(const ErrorPlace& place, const std::string& right,
                                        const toml::node& node) {
    return {ErrorKind::bad_input, "must be " + right + ", not " + type_name(node), place};
  }

  // A table that may be left out, but may be nothing else.
  [[nodiscard]] const toml::table* table(const toml::table& top, const std::string& name) const {
    const toml::node* node = top.get(name);
    if (node != nullptr && !node->is_table())
      throw wrong_type(place_of(*node, name), "a table, written [" + name + "]", *node);
    return node == nullptr ? nullptr : node->as_table();
  }

  void refuse_unknown(const toml::table& top) const {
    std::vector<std::string> names{"parameters"};
    for (const Section& section : sections()) {
      if (section.table.empty()) {
        names.insert(names.end(), section.keys.begin(), section.keys.end());
        continue;
      }
      names.push_back(section.table);
      if (const toml::table* inner = table(top, section.table))
        for (auto&& [key, node] : *inner)
          if (std::find(section.keys.begin(), section.keys.end(), key.str()) == section.keys.end())
            throw Error(ErrorKind::bad_input,
                        unknown_name("key in [" + section.table + "]", key.str(), section.keys),
                        place_of(key));
    }
    for (auto&& [key, node] : top)
      if (std::find(names.begin(), names.end(), key.str()) == names.end())
        throw Error(ErrorKind::bad_input,
                    unknown_name(node.is_table() ? "table" : "key", key.str(), names),
                    place_of(key));
  }

  void add(Given& given, const toml::table* from, const std::vector<std::string>& keys,
           const std::vector<Parameter>& parameters) const {
    for (const Parameter& parameter : parameters) {
      const bool here = std::find(keys.begin(), keys.end(), parameter.name) != keys.end();
      const toml::node* node = here && from != nullptr ? from->get(parameter.name) : nullptr;
      if (node != nullptr)
        given[parameter.name] = {text_of(*node, parameter), place_of(*node, parameter.name), base_};
    }
  }

  // TOML has types of its own: a number in quotes is a slip, and is refused.
  [[nodiscard]] std::string text_of(const toml::node& node, const Parameter& parameter) const {
    const bool numeric = parameter.type == ParameterType::integer ||
                         parameter.type == ParameterType::integers ||
                         parameter.type == ParameterType::real;
    const bool count_or_word = parameter.name == "threads" && !numeric; // 4 or "auto"
    if (node.is_number() && (numeric || count_or_word))
      return number_text(node);
    if (node.is_boolean() && is_switch(parameter))
      return node.as_boolean()->get() ? "true" : "false";
    if (node.is_string() && !numeric && !is_switch(parameter))
      return node.as_string()->get();
    if (node.is_array() && parameter.type == ParameterType::integers)
      return list_text(*node.as_array(), parameter);
    throw wrong_type(place_of(node, parameter.name), wanted(parameter), node);
  }

  [[nodiscard]] std::string list_text(const toml::array& list, const Parameter& parameter) const {
    std::vector<std::string> texts;
    for (const toml::node& element : list) {
      if (!element.is_number())
        throw wrong_type(place_of(element, parameter.name), "a list of numbers without quotes",
                         element);
      texts.push_back(number_text(element));
    }
    return join(texts, ",");
  }

  std::string file_;
  std::filesystem::path base_;
  const std::vector<Workload>& workloads_;
};

} // namespace

JobFile parse_job_file(const JobText& job, const std::vector<Workload>& workloads) {
  try {
    return JobReader(job, workloads).read(toml::parse(job.text));
  } catch (const toml::parse_error& error) {
    throw Error(ErrorKind::bad_input, "not valid TOML: " + std::string(error.description()),
                {job.file, static_cast<int>(error.source().begin.line), ""});
  }
}

} // namespace cleave
