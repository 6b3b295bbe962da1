// --only: which points of a study.
#include "../words.hpp"
#include "cleave/error.hpp"
#include "cleave/study.hpp"

#include <algorithm>
#include <set>

namespace cleave {
namespace {

std::map<std::string, std::string> facts_of(const PlannedPoint& point) {
  std::map<std::string, std::string> facts = point.parameters;
  facts["nodes"] = std::to_string(point.key.nodes);
  facts["ranks"] = std::to_string(point.key.ranks);
  facts["threads"] = std::to_string(point.key.threads);
  facts["schedule"] = point.key.schedule;
  return facts;
}

// "1, 2, 4": what the points have for a key.
std::string values_of(const StudyPlan& plan, const std::string& key) {
  std::vector<std::string> found;
  for (const PlannedPoint& point : plan.points) {
    const std::string text = facts_of(point).at(key);
    if (std::ranges::find(found, text) == found.end())
      found.push_back(text);
  }
  return join(found);
}

} // namespace

std::vector<std::size_t> chosen_points(const StudyPlan& plan, std::span<const std::string> only) {
  std::map<std::string, std::set<std::string>> wanted;
  for (const std::string& text : only) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(ErrorKind::bad_input, "must be KEY=VALUE, not " + in_quotes(text),
                  {"", 0, "--only"});
    const std::string key = text.substr(0, equals);
    std::vector<std::string> keys;
    for (const auto& [name, value] : facts_of(plan.points.front()))
      keys.push_back(name);
    if (std::ranges::find(keys, key) == keys.end())
      throw Error(ErrorKind::bad_input, unknown_name("key", key, keys), {"", 0, "--only"});
    wanted[key].insert(text.substr(equals + 1));
  }
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < plan.points.size(); ++i) {
    const auto facts = facts_of(plan.points[i]);
    if (std::ranges::all_of(
            wanted, [&](const auto& want) { return want.second.contains(facts.at(want.first)); }))
      chosen.push_back(i);
  }
  if (chosen.empty()) {
    std::vector<std::string> there;
    for (const auto& [key, values] : wanted)
      there.push_back(key + " " + values_of(plan, key));
    throw Error(ErrorKind::bad_input, "no point is left; the study has " + join(there, "; "),
                {"", 0, "--only"});
  }
  return chosen;
}

} // namespace cleave
