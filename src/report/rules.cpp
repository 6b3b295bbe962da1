// The twelve rules of Hoefler & Belli, "Scientific Benchmarking of Parallel Computing Systems",
// SC'15, doi:10.1145/2807591.2807644: what each demands, and what in the data stands against it.
#include "../words.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <array>

namespace cleave {
namespace {

using namespace report;
using Unmet = std::vector<std::string>;

constexpr std::size_t most_named = 5;

/// "2x1, 4x1 and 3 more".
class Named {
public:
  void add(const PointKey& key) {
    if (names_.size() < most_named)
      names_.push_back(short_layout(key));
    ++count_;
  }
  void tell(Unmet& unmet, const std::string& what) const {
    if (count_ > names_.size())
      unmet.push_back(
          fmt::format("{}: {} and {} more", what, join(names_), count_ - names_.size()));
    else if (count_ > 0)
      unmet.push_back(what + ": " + join(names_));
  }

private:
  std::vector<std::string> names_;
  std::size_t count_ = 0;
};

template <class Holds>
void name_points(const Results& results, const std::string& what, Holds holds, Unmet& unmet) {
  Named named;
  for (const Point& point : results.points)
    if (holds(point))
      named.add(point.key);
  named.tell(unmet, what);
}

Unmet base_case(const Results& results, const StudyTable& table) {
  Unmet unmet;
  for (const Series& series : table.series)
    if (!series.base)
      unmet.push_back("no verified point can be the base" +
                      (series.label.empty() ? std::string() : " of " + series.label));
  name_points(
      results, "without a verified answer", [](const Point& point) { return !point.verified(); },
      unmet);
  if (unmet.size() > most_named)
    unmet.resize(most_named);
  return unmet;
}

Unmet subsets(const StudyTable& table) {
  Unmet unmet;
  Named named;
  for (const PointKey& key : table.missing)
    named.add(key);
  named.tell(unmet, "planned and not measured");
  return unmet;
}

Unmet intervals(const Results& results) {
  Unmet unmet;
  name_points(
      results, "fewer than the 6 repetitions of a 95 % interval",
      [](const Point& point) { return !point.samples.empty() && !point.time_s().interval; }, unmet);
  return unmet;
}

Unmet sound_comparison(const Results& results, const StudyTable& table) {
  Unmet unmet = intervals(results);
  if (drifts(table))
    unmet.push_back(fmt::format("samples drift with time (p = {}, {} %), so they are not of "
                                "one distribution",
                                number(table.drift_p, 2), number(table.drift_percent, 2)));
  return unmet;
}

Unmet setup(const Results& results) {
  constexpr std::array needed = {"cpu_model",   "topology",   "kernel",   "compiler",   "cxxflags",
                                 "mpi_version", "git_commit", "build_id", "simd_target"};
  Unmet unmet;
  std::vector<std::string> unknown;
  for (const char* fact : needed) {
    const auto found = results.facts.find(fact);
    const bool differs = results.differing.contains(fact);
    if (!differs &&
        (found == results.facts.end() || found->second.empty() || found->second == "unknown"))
      unknown.emplace_back(fact);
  }
  if (!unknown.empty())
    unmet.push_back("not recorded: " + join(unknown));
  for (const auto& [fact, found] : results.differing)
    unmet.push_back(fmt::format("{} differs: {}", fact, join(found, " | ")));
  const auto dirty = results.facts.find("git_dirty");
  if (dirty != results.facts.end() && (dirty->second == "true" || dirty->second == "1"))
    unmet.emplace_back("the program was built from sources that no commit has (git_dirty)");
  return unmet;
}

Unmet methods(const Results& results) {
  Unmet unmet;
  name_points(
      results, "how ranks start together is not recorded",
      [](const Point& point) { return point.sync_method.empty(); }, unmet);
  name_points(
      results, "ranks start further apart than 1 % of the time",
      [](const Point& point) {
        return !point.samples.empty() && point.of_samples([](const Sample& s) {
                                                return s.barrier_skew_s;
                                              }).value > 0.01 * point.time_s().value;
      },
      unmet);
  return unmet;
}

Unmet bounds(const StudyTable& table) {
  for (const Series& series : table.series)
    if (series.base)
      return {};
  return {"without a base there is no ideal to compare with"};
}

} // namespace

std::vector<ReportRule> rules_kept(const Results& results, const StudyTable& table) {
  return {
      {1, "Say what the base of a speed-up is, and its absolute time.",
       "Every caption names the base with its seconds: this program on the fewest workers, not the "
       "best serial one.",
       base_case(results, table)},
      {2, "Give the reason for leaving out benchmarks or parts of the machine.",
       "All measured points are shown; those that are missing are listed.", subsets(table)},
      {3,
       "Arithmetic means for costs only; harmonic ones for rates.",
       "Times are summarised by medians, phases by means over ranks; rates are not averaged.",
       {}},
      {4,
       "Do not average ratios.",
       "Speed-up and efficiency are ratios of two medians of times.",
       {}},
      {5, "Give intervals for what varies from one measurement to the next.",
       "Medians with exact 95 % order-statistic intervals.", intervals(results)},
      {6,
       "Do not take data for normal without checking.",
       "Order statistics and rank tests assume no distribution.",
       {}},
      {7, "Compare what varies by sound statistics.",
       "Ratios carry intervals; a test for drift over the whole study stands beside them.",
       sound_comparison(results, table)},
      {8,
       "Ask whether a median is what matters; show other quantiles where it is not.",
       "The figure and the table of repetitions show all samples, quartiles and extremes.",
       {}},
      {9, "Document everything that varies, and the whole setup.",
       "The environment stands in the report; what differs between files is listed.",
       setup(results)},
      {10, "Say how parallel time is measured, synchronised and summarised.",
       "Every caption says so; the skew of the start is in the table of phases.", methods(results)},
      {11, "Show bounds of what is possible.",
       "Ideal speed-up and the laws of scaling are drawn beside the points.", bounds(table)},
      {12,
       "Plot what is needed to interpret; join points only where between them is something.",
       "Points are joined only along a number of workers; each has its interval.",
       {}},
  };
}

} // namespace cleave
