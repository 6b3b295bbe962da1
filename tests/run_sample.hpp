// Timings files as runs of any layout would write them, with times that a test chooses.
#pragma once

#include "cleave/store.hpp"
#include "cleave/timings.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cleave::testing {

/// One run: `walls` are its repetitions, in which every rank is busy for its share of `busy`.
struct SampleRun {
  std::string workload = "ep";
  std::string parameters = "class = A\n";
  std::string schedule = "auto";
  int nodes = 1;
  int ranks = 1;
  int threads = 1;
  std::vector<double> walls = {1.0};
  std::vector<double> busy = {}; ///< by rank, share of the wall time; all of it when empty
  double work = 100;
  Verify verify = Verify::ok;
  RepState state = RepState::done;
  double start_utc_s = 1e9; ///< of the first repetition; one starts every 10 s
  bool oversubscribed = false;
  std::string cpu_model = "sample";
  std::string build_id = "abc";
};

inline RunInfo info_of(const SampleRun& run) {
  RunInfo info;
  info.workload = run.workload;
  info.schedule = run.schedule;
  info.sync_method = "barrier";
  info.work_unit = "pairs";
  info.work_items = run.work;
  info.tasks = 64;
  info.ranks = run.ranks;
  info.threads = run.threads;
  info.nodes = run.nodes;
  info.oversubscribed = run.oversubscribed;
  for (int rank = 0; rank < run.ranks; ++rank) {
    info.rank_threads.push_back(run.threads);
    info.rank_node.push_back(rank * run.nodes / run.ranks);
    info.rank_cpus.push_back(std::to_string(rank));
    info.rank_pid.push_back(100 + rank);
  }
  for (int node = 0; node < run.nodes; ++node)
    info.node_name.push_back("node" + std::to_string(node));
  info.config_hash = run.workload + run.parameters;
  info.provenance = {{"parameters", run.parameters}, {"cpu_model", run.cpu_model},
                     {"build_id", run.build_id},     {"topology", "1 socket"},
                     {"build_type", "Release"},      {"simd_target", "AVX2"}};
  return info;
}

inline Repetition repetition_of(const SampleRun& run, std::size_t row) {
  Repetition repetition;
  repetition.wall_s = run.walls[row];
  repetition.schedule_used = run.schedule;
  repetition.start_utc_s = run.start_utc_s + 10.0 * static_cast<double>(row);
  repetition.state = run.state;
  repetition.verify = run.verify;
  for (int rank = 0; rank < run.ranks; ++rank) {
    const double share = run.busy.empty() ? 1.0 : run.busy[static_cast<std::size_t>(rank)];
    RankTimes times;
    times.thread_busy_s.assign(static_cast<std::size_t>(run.threads), share * run.walls[row]);
    times.phase_time_s[static_cast<std::size_t>(Phase::compute)] = share * run.walls[row];
    times.phase_time_s[static_cast<std::size_t>(Phase::wait)] = (1 - share) * run.walls[row];
    repetition.ranks.push_back(times);
  }
  return repetition;
}

/// Writes it. The last `missing` rows stay empty.
inline void write_sample(const std::filesystem::path& file, const SampleRun& run,
                         std::size_t missing = 0) {
  Store store(file, info_of(run), {static_cast<int>(run.walls.size()), 0, false});
  for (std::size_t row = 0; row + missing < run.walls.size(); ++row)
    store.commit(static_cast<int>(row), repetition_of(run, row));
}

} // namespace cleave::testing
