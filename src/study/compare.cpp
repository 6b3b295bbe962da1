#include "cleave/compare.hpp"

#include "../words.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace cleave {
namespace {

// Another program is what is compared: told, and no obstacle.
constexpr std::array told = {"build_id", "git_commit",    "git_dirty",   "compiler",
                             "cxxflags", "governor",      "clocksource", "mpi_version",
                             "kernel",   "boost_version", "hdf5_version"};

/// What all files of a set say of a fact.
std::string said(const Results& results, const std::string& fact) {
  if (const auto found = results.facts.find(fact); found != results.facts.end())
    return found->second;
  const auto several = results.differing.find(fact);
  return several != results.differing.end() ? join(several->second, " | ") : "unknown";
}

std::vector<Difference> differences_of(const Results& base, const Results& now) {
  std::vector<Difference> all;
  const auto compare_fact = [&](const char* name, bool breaks) {
    Difference difference{name, said(base, name), said(now, name), breaks};
    const bool mixed = base.differing.contains(name) || now.differing.contains(name);
    if (difference.base != difference.now || (breaks && mixed))
      all.push_back(std::move(difference));
  };
  for (const char* name : facts_that_must_agree())
    compare_fact(name, true);
  for (const char* name : told)
    compare_fact(name, false);
  return all;
}

/// Two runs of one job can be compared whatever their layouts and schedules.
bool one_job(const Results& base, const Results& now) {
  return base.points.size() == 1 && now.points.size() == 1 &&
         base.points.front().key.workload == now.points.front().key.workload &&
         base.points.front().key.config_hash == now.points.front().key.config_hash;
}

void tell_difference(Comparison& comparison, const char* fact, const std::string& base,
                     const std::string& now) {
  if (base != now)
    comparison.differences.push_back({fact, base, now, false});
}

PointComparison compare_points(const Point& base, const Point& now, double threshold) {
  PointComparison compared = compare_times(base.wall_s(), now.wall_s(), threshold);
  compared.key = base.key;
  compared.wrong = base.wrong + now.wrong;
  return compared;
}

} // namespace

const char* name(Change change) noexcept {
  switch (change) {
  case Change::faster:
    return "faster";
  case Change::slower:
    return "slower";
  case Change::undecided:
    break;
  }
  return "undecided";
}

bool Comparison::comparable() const {
  return std::ranges::none_of(differences, &Difference::breaks) && !points.empty();
}

PointComparison compare_times(std::span<const double> base, std::span<const double> now,
                              double threshold) {
  PointComparison found;
  found.base_n = base.size();
  found.now_n = now.size();
  found.base_s = summarise(base);
  found.now_s = summarise(now);
  found.shift_s = hodges_lehmann(base, now);
  found.p = mann_whitney_p(base, now);
  const auto& a = found.base_s.interval;
  const auto& b = found.now_s.interval;
  const bool disjoint = a && b && (a->hi < b->lo || b->hi < a->lo);
  if (disjoint || found.p <= 0.05)
    found.change = found.shift_s.value > 0 ? Change::slower : Change::faster;
  found.beyond =
      found.change == Change::slower && found.shift_s.value > threshold * found.base_s.value;
  return found;
}

Comparison compare(const Results& base, const Results& now, double threshold) {
  Comparison comparison;
  comparison.differences = differences_of(base, now);
  if (one_job(base, now)) {
    const Point& before = base.points.front();
    const Point& after = now.points.front();
    tell_difference(comparison, "layout", before.layout_text(), after.layout_text());
    tell_difference(comparison, "schedule", before.key.schedule, after.key.schedule);
    comparison.points.push_back(compare_points(before, after, threshold));
    return comparison;
  }
  std::map<PointKey, const Point*> others;
  for (const Point& point : now.points)
    others.emplace(point.key, &point);
  for (const Point& point : base.points) {
    const auto other = others.find(point.key);
    if (other == others.end()) {
      comparison.base_only.push_back(point.key);
      continue;
    }
    comparison.points.push_back(compare_points(point, *other->second, threshold));
    others.erase(other);
  }
  for (const auto& [key, point] : others)
    comparison.now_only.push_back(key);
  return comparison;
}

} // namespace cleave
