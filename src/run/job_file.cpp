#include "../words.hpp"
#include "settings.hpp"
#include "toml_values.hpp"

#include <algorithm>

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
          {"output", {"timings", "result", "checkpoint", "mtbf_s", "trace", "force"}}};
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
      throw wrong_toml_type(place, "text in quotes", *workload);
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
    return toml_place(node, key, file_);
  }

  // A table that may be left out, but may be nothing else.
  [[nodiscard]] const toml::table* table(const toml::table& top, const std::string& name) const {
    const toml::node* node = top.get(name);
    if (node != nullptr && !node->is_table())
      throw wrong_toml_type(place_of(*node, name), "a table, written [" + name + "]", *node);
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
        given[parameter.name] = {toml_text(*node, parameter, file_),
                                 place_of(*node, parameter.name), base_};
    }
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
