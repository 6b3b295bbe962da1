#include "../new_file.hpp"
#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/results.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace cleave {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* file_name = "study.json";
constexpr const char* format = "cleave-study-plan";
constexpr int format_version = 1;

// Reads one file; knows its name, so that every refusal has it.
class RecordReader {
public:
  explicit RecordReader(fs::path file) : file_(std::move(file)) {}

  [[nodiscard]] StudyRecord read() const {
    std::ifstream stream(file_, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    if (!stream)
      throw refusal("cannot be read", "");
    const json all = json::parse(text.str(), nullptr, false);
    if (!all.is_object())
      throw refusal("is damaged: it is not one JSON object", "");
    if (at<std::string>(all, "format") != format)
      throw refusal("is not the record of a study", "format");
    if (at<int>(all, "format_version") > format_version)
      throw refusal("was written by a newer version of cleave; read it with that one",
                    "format_version");
    StudyRecord record;
    record.title = at<std::string>(all, "title");
    record.mode = mode(at<std::string>(all, "mode"));
    record.measure = measure(at<json>(all, "measure"));
    record.grown = at<std::vector<std::string>>(all, "grown");
    for (const json& point : at<std::vector<json>>(all, "planned"))
      record.planned.push_back({at<std::string>(point, "workload"),
                                at<std::string>(point, "config_hash"),
                                at<std::string>(point, "schedule"), at<int>(point, "nodes"),
                                at<int>(point, "ranks"), at<int>(point, "threads")});
    return record;
  }

private:
  [[nodiscard]] Error refusal(const std::string& what, const std::string& key) const {
    return {ErrorKind::bad_input, what, {file_.string(), 0, key}};
  }

  // The library would make 1 of true, and 2 of 2.9.
  template <class T>
  [[nodiscard]] static bool is(const json& value) {
    if constexpr (std::is_same_v<T, std::string>)
      return value.is_string();
    else if constexpr (std::is_same_v<T, double>)
      return value.is_number();
    else if constexpr (std::is_same_v<T, json>)
      return value.is_object();
    else if constexpr (std::is_same_v<T, int>)
      return value.is_number_integer() && value.get<std::int64_t>() >= 0 &&
             value.get<std::int64_t>() <= std::numeric_limits<int>::max();
    else if constexpr (std::is_same_v<T, std::uint64_t>)
      return value.is_number_unsigned();
    else
      return value.is_array() && std::ranges::all_of(value, [](const json& one) {
               return is<typename T::value_type>(one);
             });
  }

  template <class T>
  [[nodiscard]] T at(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end())
      throw refusal("is damaged: this is missing", key);
    if (!is<T>(*found))
      throw refusal("is damaged: this has the wrong type", key);
    return found->template get<T>();
  }

  [[nodiscard]] StudyMode mode(const std::string& name) const {
    const auto* const found = std::ranges::find(study_mode_names, name);
    if (found == study_mode_names.end())
      throw refusal("is damaged: there is no mode " + in_quotes(name), "mode");
    return static_cast<StudyMode>(found - study_mode_names.begin());
  }

  [[nodiscard]] Measure measure(const json& object) const {
    return {at<int>(object, "warmup"), at<int>(object, "repetitions"),
            at<double>(object, "half_width"), at<double>(object, "budget_s"),
            at<std::uint64_t>(object, "seed")};
  }

  fs::path file_;
};

} // namespace

std::optional<StudyRecord> read_study_record(const fs::path& directory) {
  const fs::path file = directory / file_name;
  if (!fs::exists(file))
    return std::nullopt;
  return RecordReader(file).read();
}

void write_study_record(const fs::path& directory, const StudyRecord& record) {
  json planned = json::array();
  for (const PointKey& key : record.planned)
    planned.push_back({{"workload", key.workload},
                       {"config_hash", key.config_hash},
                       {"schedule", key.schedule},
                       {"nodes", key.nodes},
                       {"ranks", key.ranks},
                       {"threads", key.threads}});
  const json all = {{"format", format},
                    {"format_version", format_version},
                    {"title", record.title},
                    {"mode", study_mode_names[static_cast<std::size_t>(record.mode)]},
                    {"measure",
                     {{"warmup", record.measure.warm_ups},
                      {"repetitions", record.measure.repetitions},
                      {"half_width", record.measure.half_width},
                      {"budget_s", record.measure.budget_s},
                      {"seed", record.measure.seed}}},
                    {"grown", record.grown},
                    {"planned", planned}};
  const std::string text = all.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  replace_with_text(directory / file_name, text);
}

} // namespace cleave
