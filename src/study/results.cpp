#include "cleave/results.hpp"

#include "cleave/error.hpp"
#include "cleave/store.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 4> agreeing = {"cpu_model", "topology", "build_type",
                                                 "simd_target"};

double mean(std::span<const double> values) {
  return values.empty() ? 0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

bool is_timings_file(const std::string& name) {
  return (name.ends_with(".h5") || name.ends_with(".hdf5")) && !name.ends_with(".trace.h5") &&
         name != "study.h5" && !name.starts_with(".");
}

std::vector<fs::path> files_of(const fs::path& path) {
  if (!fs::is_directory(path))
    return {path};
  std::vector<fs::path> files;
  const fs::path points = path / "points";
  for (const fs::directory_entry& entry :
       fs::directory_iterator(fs::is_directory(points) ? points : path))
    if (entry.is_regular_file() && is_timings_file(entry.path().filename().string()))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

/// The lines "name = text" that a run records.
std::map<std::string, std::string> parameters_of(const RunInfo& info) {
  std::map<std::string, std::string> parameters;
  const auto found = info.provenance.find("parameters");
  if (found == info.provenance.end())
    return parameters;
  std::string_view lines = found->second;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    if (const std::size_t sign = line.find(" = "); sign != std::string_view::npos)
      parameters[std::string(line.substr(0, sign))] = line.substr(sign + 3);
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
  return parameters;
}

std::vector<double> busy_of(const Repetition& repetition) {
  std::vector<double> busy;
  for (const RankTimes& rank : repetition.ranks)
    busy.push_back(mean(rank.thread_busy_s));
  return busy;
}

double worst_thread_balance(const Repetition& repetition) {
  double worst = 1;
  for (const RankTimes& rank : repetition.ranks)
    if (const double most = rank.thread_busy_s.empty() ? 0 : std::ranges::max(rank.thread_busy_s);
        most > 0)
      worst = std::min(worst, mean(rank.thread_busy_s) / most);
  return worst;
}

Sample sample_of(const Repetition& repetition, const std::vector<int>& nodes) {
  Sample sample;
  sample.wall_s = repetition.wall_s;
  sample.start_utc_s = repetition.start_utc_s;
  sample.verified = repetition.verify == Verify::ok;
  const std::vector<double> busy = busy_of(repetition);
  for (std::size_t phase = 0; phase < phase_count; ++phase) {
    std::vector<double> times;
    for (const RankTimes& rank : repetition.ranks)
      times.push_back(rank.phase_time_s[phase]);
    sample.phase_s[phase] = mean(times);
  }
  sample.balance = balance(busy, nodes, repetition.wall_s);
  sample.imbalance_percent = imbalance_percent(busy);
  sample.thread_balance = worst_thread_balance(repetition);
  sample.barrier_skew_s = repetition.barrier_skew_s;
  sample.clock_error_s = repetition.clock_error_s;
  sample.load1 = repetition.load1;
  return sample;
}

std::vector<RankLoad> loads_of(const Repetition& repetition, const RunInfo& info) {
  std::vector<RankLoad> loads;
  for (std::size_t rank = 0; rank < repetition.ranks.size(); ++rank) {
    const RankTimes& times = repetition.ranks[rank];
    const int node = info.rank_node[rank];
    loads.push_back({static_cast<int>(rank), node, info.node_name[static_cast<std::size_t>(node)],
                     info.rank_cpus[rank], times.thread_busy_s, times.phase_time_s});
  }
  return loads;
}

/// Points as they grow, file by file. A repetition's loads are kept while it may be the median one.
class Collector {
public:
  explicit Collector(fs::path path) { results_.path = std::move(path); }

  void add(const fs::path& file, const Timings& timings) {
    results_.files.push_back(file);
    merge_facts(timings.info);
    for (const std::string& host : timings.info.node_name)
      hosts_.insert(host);
    Growing& growing = point_of(timings.info);
    growing.point.files.push_back(file);
    for (const Repetition& repetition : timings.run)
      add(growing, repetition, timings.info);
  }

  Results finish() {
    for (auto& [key, growing] : points_)
      results_.points.push_back(finished(std::move(growing)));
    for (const auto& [fact, texts] : texts_)
      if (texts.size() == 1)
        results_.facts.emplace(fact, *texts.begin());
      else if (std::ranges::find(agreeing, fact) != agreeing.end() || fact == "build_id")
        results_.differing[fact] = {texts.begin(), texts.end()};
    results_.hosts = {hosts_.begin(), hosts_.end()};
    return std::move(results_);
  }

private:
  struct Growing {
    Point point;
    std::vector<std::pair<double, std::vector<RankLoad>>> loads; ///< by wall time
    std::map<double, std::string> schedules;                     ///< by wall time
  };

  Growing& point_of(const RunInfo& info) {
    const PointKey key{info.workload, info.config_hash, info.schedule,
                       info.nodes,    info.ranks,       info.threads};
    const auto [found, fresh] = points_.try_emplace(key);
    Point& point = found->second.point;
    if (fresh) {
      point.key = key;
      point.parameters = parameters_of(info);
      point.tasks = info.tasks;
      point.work = info.work_items;
      point.work_unit = info.work_unit;
      point.sync_method = info.sync_method;
      point.summary_method = info.summary_method;
      point.workers = std::accumulate(info.rank_threads.begin(), info.rank_threads.end(), 0);
    }
    point.oversubscribed = point.oversubscribed || info.oversubscribed;
    return found->second;
  }

  static void add(Growing& growing, const Repetition& repetition, const RunInfo& info) {
    Point& point = growing.point;
    point.wrong += repetition.state == RepState::wrong_answer ? 1 : 0;
    point.interrupted += repetition.state == RepState::interrupted ? 1 : 0;
    if (repetition.state != RepState::done || !(repetition.wall_s > 0))
      return;
    point.samples.push_back(sample_of(repetition, info.rank_node));
    growing.loads.emplace_back(repetition.wall_s, loads_of(repetition, info));
    growing.schedules[repetition.wall_s] = repetition.schedule_used;
  }

  static Point finished(Growing growing) {
    Point point = std::move(growing.point);
    std::ranges::stable_sort(point.samples, {}, &Sample::start_utc_s);
    if (!growing.loads.empty()) {
      const auto middle =
          growing.loads.begin() + static_cast<std::ptrdiff_t>((growing.loads.size() - 1) / 2);
      std::ranges::nth_element(growing.loads, middle, {},
                               [](const auto& load) { return load.first; });
      point.loads = std::move(middle->second);
      point.schedule_used = growing.schedules[middle->first];
    }
    return point;
  }

  void merge_facts(const RunInfo& info) {
    for (const auto& [fact, text] : info.provenance)
      texts_[fact].insert(text);
  }

  Results results_;
  std::map<PointKey, Growing> points_;
  std::map<std::string, std::set<std::string>> texts_;
  std::set<std::string> hosts_;
};

} // namespace

double RankLoad::busy_s() const {
  return mean(thread_busy_s);
}

bool Point::verified() const {
  return wrong == 0 && !samples.empty() && std::ranges::all_of(samples, &Sample::verified);
}

std::vector<double> Point::wall_s() const {
  std::vector<double> walls;
  walls.reserve(samples.size());
  for (const Sample& sample : samples)
    walls.push_back(sample.wall_s);
  return walls;
}

Estimate Point::time_s() const {
  return summarise(wall_s());
}

std::string Point::layout_text() const {
  const auto counted = [](int count, const char* noun) {
    return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
  };
  return (key.nodes > 1 ? counted(key.nodes, "node") + ", " : "") + counted(key.ranks, "rank") +
         " x " + counted(key.threads, "thread");
}

std::span<const char* const> facts_that_must_agree() noexcept {
  return agreeing;
}

Results read_results(std::span<const fs::path> paths) {
  Collector collector(paths.size() == 1 ? paths.front() : fs::path());
  std::vector<fs::path> studies;
  for (const fs::path& path : paths) {
    const std::vector<fs::path> files = files_of(path);
    const bool of_study = fs::exists(path / "study.json");
    if (of_study)
      studies.push_back(path);
    if (files.empty() && !of_study)
      throw Error(ErrorKind::bad_input,
                  "there are no timings files in this directory; give the directory of a study, or "
                  "files that cleave run has written",
                  {path.string(), 0, {}});
    read_timings(
        files, [&](const fs::path& file, const Timings& timings) { collector.add(file, timings); });
  }
  Results results = collector.finish();
  if (results.points.empty())
    throw Error(ErrorKind::bad_input, "this study has no points yet; cleave study measures them",
                {paths.front().string(), 0, {}});
  if (studies.size() == 1)
    results.study = read_study_record(studies.front());
  return results;
}

Results read_results(const fs::path& path) {
  return read_results(std::span(&path, 1));
}

} // namespace cleave
