#include "study_file.hpp"

#include "../run/settings.hpp"
#include "../run/toml_values.hpp"
#include "../words.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <sstream>
#include <string_view>

namespace cleave {
namespace {

namespace fs = std::filesystem;

constexpr int most_ranks = 1'000'000;
constexpr int most_threads = 4'096;

const std::vector<std::string> top_keys = {"job",   "mode",       "ranks",   "threads", "schedule",
                                           "cores", "parameters", "measure", "slurm"};
const std::vector<std::string> slurm_keys = {"partition", "account", "time", "cores_per_node",
                                             "lines"};

Parameter setting(const std::string& name, ParameterType type, const std::string& default_value,
                  double least, double most) {
  return {name, "", type, default_value, false, "", least, most, {}};
}

std::vector<Parameter> measure_parameters() {
  using enum ParameterType;
  return {setting("warmup", integer, "1", 0, 1e6), setting("repetitions", integer, "30", 1, 1e6),
          setting("half_width", real, "0.02", 0, 1), setting("budget_s", real, "600", 0, 1e9),
          setting("seed", integer, "1", 0, 9.2e18)};
}

toml::table parsed(const JobText& text) {
  try {
    return toml::parse(text.text);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorKind::bad_input, "not valid TOML: " + std::string(error.description()),
                {text.file, static_cast<int>(error.source().begin.line), ""});
  }
}

// "4..64" as 4, 8, 16, 32, 64: doubling, and the end whatever it is.
std::optional<std::vector<int>> read_doubling(std::string_view text, int most) {
  std::array<int, 2> ends{};
  const auto dots = text.find("..");
  if (dots == std::string_view::npos)
    return std::nullopt;
  const std::array<std::string_view, 2> sides = {text.substr(0, dots), text.substr(dots + 2)};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const char* const end = sides[i].data() + sides[i].size();
    if (std::from_chars(sides[i].data(), end, ends[i]).ptr != end || ends[i] < 1 || ends[i] > most)
      return std::nullopt;
  }
  if (ends[0] >= ends[1])
    return std::nullopt;
  std::vector<int> values;
  for (std::int64_t value = ends[0]; value < ends[1]; value *= 2)
    values.push_back(static_cast<int>(value));
  values.push_back(ends[1]);
  return values;
}

void refuse_unknown(const toml::table& table, const std::string& name,
                    const std::vector<std::string>& known, const std::string& file) {
  for (auto&& [key, node] : table) {
    const std::string text(key.str());
    const std::string what = name == "parameters" ? "parameter"
                             : !name.empty()      ? "key in [" + name + "]"
                             : node.is_table()    ? "table"
                                                  : "key";
    if (std::ranges::find(known, text) == known.end())
      throw Error(ErrorKind::bad_input, unknown_name(what, text, known),
                  {file, static_cast<int>(key.source().begin.line), text});
  }
}

// Reads one file; knows its name, so that every refusal names file, line and key.
class StudyReader {
public:
  StudyReader(const JobText& study, const Workload& workload)
      : file_(study.file), workload_(workload) {}

  [[nodiscard]] StudyFile read(const toml::table& top) const {
    StudyFile study;
    study.file = file_;
    for (auto&& [key, node] : top)
      study.places[std::string(key.str())] = toml_place(node, std::string(key.str()), file_);
    study.mode = mode(top);
    study.ranks = counts(top, "ranks", most_ranks);
    study.threads = counts(top, "threads", most_threads);
    study.schedules = schedules(top);
    if (const toml::node* cores = top.get("cores"))
      study.cores = count(*cores, "cores", most_ranks);
    study.measure = measure(table(top, "measure"));
    if (const toml::table* parameters = table(top, "parameters"))
      study.parameters = axes(*parameters);
    if (const toml::table* slurm = table(top, "slurm"))
      study.slurm = slurm_settings(*slurm);
    return study;
  }

private:
  [[nodiscard]] const toml::table* table(const toml::table& top, const std::string& name) const {
    const toml::node* node = top.get(name);
    if (node != nullptr && !node->is_table())
      throw wrong_toml_type(toml_place(*node, name, file_), "a table, written [" + name + "]",
                            *node);
    return node == nullptr ? nullptr : node->as_table();
  }

  [[nodiscard]] std::string text(const toml::node& node, const std::string& key) const {
    return toml_text(node, setting(key, ParameterType::text, "", 0, 0), file_);
  }

  [[nodiscard]] StudyMode mode(const toml::table& top) const {
    const std::vector<std::string> names(study_mode_names.begin(), study_mode_names.end());
    const toml::node* node = top.get("mode");
    if (node == nullptr)
      throw Error(ErrorKind::bad_input,
                  "missing; write mode = \"strong\", or one of " + join(names), {file_, 0, "mode"});
    const std::string given = text(*node, "mode");
    const auto found = std::ranges::find(names, given);
    if (found == names.end())
      throw Error(ErrorKind::bad_input, unknown_name("mode", given, names),
                  toml_place(*node, "mode", file_));
    return static_cast<StudyMode>(found - names.begin());
  }

  [[nodiscard]] int count(const toml::node& node, const std::string& key, int most) const {
    const Parameter number = setting(key, ParameterType::integer, "1", 1, most);
    const Values values(
        {number}, {{key, {toml_text(node, number, file_), toml_place(node, key, file_), {}}}});
    return static_cast<int>(values.integer(key));
  }

  // A number, a doubling text, or a list of these; ascending and each once.
  [[nodiscard]] std::vector<int> counts(const toml::table& top, const std::string& key,
                                        int most) const {
    std::set<int> found;
    each(top, key, [&](const toml::node& node) {
      if (!node.is_string()) {
        found.insert(count(node, key, most));
        return;
      }
      const auto doubling = read_doubling(node.as_string()->get(), most);
      if (!doubling)
        throw Error(ErrorKind::bad_input,
                    "must be a number or a doubling from less to more, such as \"4..64\", not " +
                        in_quotes(node.as_string()->get()),
                    toml_place(node, key, file_));
      found.insert(doubling->begin(), doubling->end());
    });
    return {found.begin(), found.end()};
  }

  [[nodiscard]] std::vector<std::string> schedules(const toml::table& top) const {
    std::vector<std::string> found;
    each(top, "schedule", [&](const toml::node& node) {
      const std::string given = text(node, "schedule");
      try {
        found.push_back(Schedule::parse(given).text());
      } catch (const Error& error) {
        throw Error(error.kind(), error.message(), toml_place(node, "schedule", file_));
      }
    });
    return found;
  }

  // A value, or every element of a list of them.
  template <class Take>
  void each(const toml::table& table, const std::string& key, Take take) const {
    const toml::node* node = table.get(key);
    if (node == nullptr)
      return;
    if (!node->is_array()) {
      take(*node);
      return;
    }
    if (node->as_array()->empty())
      throw Error(ErrorKind::bad_input, "is an empty list; leave it out for the default",
                  toml_place(*node, key, file_));
    for (const toml::node& element : *node->as_array())
      take(element);
  }

  [[nodiscard]] Measure measure(const toml::table* given) const {
    Given texts;
    std::vector<std::string> names;
    for (const Parameter& parameter : measure_parameters()) {
      names.push_back(parameter.name);
      if (const toml::node* node = given == nullptr ? nullptr : given->get(parameter.name))
        texts[parameter.name] = {
            toml_text(*node, parameter, file_), toml_place(*node, parameter.name, file_), {}};
    }
    if (given != nullptr)
      refuse_unknown(*given, "measure", names, file_);
    const Values values(measure_parameters(), texts);
    return {static_cast<int>(values.integer("warmup")),
            static_cast<int>(values.integer("repetitions")), values.real("half_width"),
            values.real("budget_s"), static_cast<std::uint64_t>(values.integer("seed"))};
  }

  [[nodiscard]] std::vector<StudyFile::Axis> axes(const toml::table& given) const {
    std::vector<std::string> names;
    for (const Parameter& parameter : workload_.parameters)
      names.push_back(parameter.name);
    refuse_unknown(given, "parameters", names, file_);
    std::vector<StudyFile::Axis> all;
    for (const Parameter& parameter : workload_.parameters) {
      StudyFile::Axis axis{parameter.name, {}, {}};
      each(given, parameter.name, [&](const toml::node& node) {
        axis.texts.push_back(from_here(toml_text(node, parameter, file_), parameter));
      });
      if (axis.texts.empty())
        continue;
      axis.place = toml_place(*given.get(parameter.name), parameter.name, file_);
      all.push_back(std::move(axis));
    }
    return all;
  }

  // A relative path starts from the study file, wherever the program runs.
  [[nodiscard]] std::string from_here(const std::string& text, const Parameter& parameter) const {
    if (parameter.type != ParameterType::input_file || text.empty())
      return text;
    return fs::absolute(fs::path(file_).parent_path() / text).lexically_normal().string();
  }

  [[nodiscard]] SlurmSettings slurm_settings(const toml::table& given) const {
    refuse_unknown(given, "slurm", slurm_keys, file_);
    SlurmSettings slurm;
    const auto take = [&](const char* key, std::string& into) {
      if (const toml::node* node = given.get(key))
        into = text(*node, key);
    };
    take("partition", slurm.partition);
    take("account", slurm.account);
    take("time", slurm.time);
    if (const toml::node* cores = given.get("cores_per_node"))
      slurm.cores_per_node = count(*cores, "cores_per_node", most_ranks);
    each(given, "lines", [&](const toml::node& node) {
      const std::string line = text(node, "lines");
      if (!line.starts_with("--") || line.find('\n') != std::string::npos)
        throw Error(ErrorKind::bad_input,
                    "must be options of sbatch, such as \"--constraint=zen4\", not " +
                        in_quotes(line),
                    toml_place(node, "lines", file_));
      slurm.lines.push_back(line);
    });
    return slurm;
  }

  std::string file_;
  const Workload& workload_;
};

void flatten(const toml::node& node, const std::string& key, const std::string& ignored,
             std::map<std::string, std::string>& into) {
  if (const toml::table* table = node.as_table()) {
    for (auto&& [name, inner] : *table)
      if (!key.empty() || name.str() != ignored)
        flatten(inner, (key.empty() ? "" : key + ".") + std::string(name.str()), ignored, into);
    return;
  }
  std::ostringstream text;
  node.visit([&text](const auto& value) { text << value; });
  into[key] = text.str();
}

} // namespace

ErrorPlace StudyFile::place(const std::string& key) const {
  const auto found = places.find(key);
  return found != places.end() ? found->second : ErrorPlace{file, 0, key};
}

StudyFile parse_study_file(const JobText& study, const Workload& workload) {
  return StudyReader(study, workload).read(parsed(study));
}

std::string job_of_study(const JobText& study) {
  const toml::table top = parsed(study);
  refuse_unknown(top, "", top_keys, study.file);
  const toml::node* job = top.get("job");
  if (job == nullptr)
    throw Error(ErrorKind::bad_input,
                "missing; write job = \"JOB.toml\", a path from this file on, or a workload's name",
                {study.file, 0, "job"});
  const std::string name =
      toml_text(*job, setting("job", ParameterType::text, "", 0, 0), study.file);
  const bool is_file = name.ends_with(".toml") || name.find('/') != std::string::npos;
  return is_file ? (fs::path(study.file).parent_path() / name).lexically_normal().string() : name;
}

std::optional<std::string> toml_difference(const JobText& before, const JobText& now,
                                           const std::string& ignored) {
  std::map<std::string, std::string> old_texts;
  std::map<std::string, std::string> new_texts;
  flatten(parsed(before), "", ignored, old_texts);
  flatten(parsed(now), "", ignored, new_texts);
  for (const auto& [key, text] : old_texts) {
    const auto found = new_texts.find(key);
    if (found == new_texts.end())
      return join({key, " was ", text, ", is gone"}, "");
    if (found->second != text)
      return join({key, " was ", text, ", is ", found->second}, "");
  }
  for (const auto& [key, text] : new_texts)
    if (!old_texts.contains(key))
      return join({key, " was not there, is ", text}, "");
  return std::nullopt;
}

} // namespace cleave
