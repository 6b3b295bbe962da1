#include "compare_text.hpp"

#include "../words.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace cleave::app {
namespace {

using Cells = std::vector<std::string>;

/// Seconds to four digits, in the unit that reads best.
std::string seconds(double value) {
  const double size = std::abs(value);
  if (size >= 1 || size == 0)
    return fmt::format("{:.4g} s", value);
  return size >= 1e-3 ? fmt::format("{:.4g} ms", value * 1e3)
                      : fmt::format("{:.4g} us", value * 1e6);
}

std::string with_interval(const Estimate& estimate) {
  return estimate.interval
             ? fmt::format("{} [{}, {}]", seconds(estimate.value), seconds(estimate.interval->lo),
                           seconds(estimate.interval->hi))
             : seconds(estimate.value);
}

/// Of the base's median, with the interval of the shift.
std::string percents(const PointComparison& point) {
  const double whole = point.base_s.value / 100;
  std::string text = fmt::format("{:+.1f} %", point.shift_s.value / whole);
  if (point.shift_s.interval)
    text += fmt::format(" [{:+.1f}, {:+.1f}]", point.shift_s.interval->lo / whole,
                        point.shift_s.interval->hi / whole);
  return text;
}

std::string point_name(const PointKey& key) {
  return fmt::format("{} {}{}x{} {}", key.workload,
                     key.nodes > 1 ? fmt::format("{} nodes ", key.nodes) : "", key.ranks,
                     key.threads, key.schedule);
}

std::string verdict(const PointComparison& point) {
  if (point.change == Change::undecided)
    return fmt::format("undecided at n = {}, {}", point.base_n, point.now_n);
  return fmt::format("{}{}", name(point.change), point.beyond ? ", beyond the threshold" : "");
}

std::vector<Cells> table_of(const Comparison& comparison) {
  std::vector<Cells> rows{{"point, ranks x threads", "n", "base", "new", "shift", "verdict"}};
  for (const PointComparison& point : comparison.points)
    rows.push_back({point_name(point.key), fmt::format("{}, {}", point.base_n, point.now_n),
                    with_interval(point.base_s), with_interval(point.now_s), percents(point),
                    verdict(point)});
  return rows;
}

std::string aligned(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Cells& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Cells& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}", row[i], widths[i] + 2);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::string markdown_table(const std::vector<Cells>& rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += "| " + join(rows[i], " | ") + " |\n";
    if (i == 0)
      text += "|" + join(Cells(rows[i].size(), "---"), "|") + "|\n";
  }
  return text;
}

/// What is not in the table, a sentence each.
std::vector<std::string> remarks(const Comparison& comparison, double threshold) {
  std::vector<std::string> lines;
  for (const Difference& difference : comparison.differences)
    lines.push_back(fmt::format("{}: {} {} in the base, {} in the new",
                                difference.breaks ? "not comparable" : "note", difference.fact,
                                in_quotes(difference.base), in_quotes(difference.now)));
  for (const PointKey& key : comparison.base_only)
    lines.push_back("only in the base: " + point_name(key));
  for (const PointKey& key : comparison.now_only)
    lines.push_back("only in the new: " + point_name(key));
  for (const PointComparison& point : comparison.points)
    if (point.wrong > 0)
      lines.push_back(
          fmt::format("{}: {} wrong answers left out", point_name(point.key), point.wrong));
  if (comparison.points.empty())
    lines.emplace_back("not comparable: no point is in both");
  lines.push_back(fmt::format(
      "Medians with their 95 % intervals; shift: Hodges-Lehmann with its 95 % interval; different "
      "where intervals are disjoint or the Mann-Whitney test says so at 5 %; threshold {:g} %.",
      100 * threshold));
  return lines;
}

nlohmann::ordered_json interval_json(const std::optional<Interval>& interval) {
  return interval ? nlohmann::ordered_json{interval->lo, interval->hi} : nlohmann::ordered_json();
}

nlohmann::ordered_json key_json(const PointKey& key) {
  return {{"workload", key.workload}, {"config_hash", key.config_hash},
          {"schedule", key.schedule}, {"nodes", key.nodes},
          {"ranks", key.ranks},       {"threads", key.threads}};
}

nlohmann::ordered_json point_json(const PointComparison& point) {
  nlohmann::ordered_json json = key_json(point.key);
  const auto side = [](const Estimate& estimate, std::size_t n) {
    return nlohmann::ordered_json{
        {"n", n}, {"median_s", estimate.value}, {"interval_s", interval_json(estimate.interval)}};
  };
  json["base"] = side(point.base_s, point.base_n);
  json["new"] = side(point.now_s, point.now_n);
  json["shift_s"] = point.shift_s.value;
  json["shift_interval_s"] = interval_json(point.shift_s.interval);
  json["p"] = point.p;
  json["wrong"] = point.wrong;
  json["verdict"] = name(point.change);
  json["beyond_threshold"] = point.beyond;
  return json;
}

} // namespace

std::string comparison_text(const Comparison& comparison, double threshold) {
  std::string text;
  if (!comparison.points.empty())
    text += aligned(table_of(comparison)) + '\n';
  for (const std::string& line : remarks(comparison, threshold))
    text += line + '\n';
  return text;
}

std::string comparison_markdown(const Comparison& comparison, double threshold) {
  std::string text = markdown_table(table_of(comparison)) + '\n';
  for (const std::string& line : remarks(comparison, threshold))
    text += "- " + line + '\n';
  return text;
}

std::string comparison_json(const Comparison& comparison, double threshold) {
  nlohmann::ordered_json json{{"comparable", comparison.comparable()}, {"threshold", threshold}};
  auto& differences = json["differences"] = nlohmann::ordered_json::array();
  for (const Difference& difference : comparison.differences)
    differences.push_back({{"fact", difference.fact},
                           {"base", difference.base},
                           {"new", difference.now},
                           {"breaks", difference.breaks}});
  auto& points = json["points"] = nlohmann::ordered_json::array();
  for (const PointComparison& point : comparison.points)
    points.push_back(point_json(point));
  for (const auto& [name, keys] : {std::pair{"base_only", &comparison.base_only},
                                   std::pair{"new_only", &comparison.now_only}}) {
    json[name] = nlohmann::ordered_json::array();
    for (const PointKey& key : *keys)
      json[name].push_back(key_json(key));
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

} // namespace cleave::app
