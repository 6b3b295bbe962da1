// A run whose every number is a function of its row, so that a reader can tell whether it is whole.
#pragma once

#include "cleave/data.hpp"
#include "cleave/store.hpp"

#include <bit>
#include <cmath>
#include <tuple>

namespace cleave {

inline RunInfo sample_info() {
  RunInfo info;
  info.workload = "sample";
  info.schedule = "block";
  info.sync_method = "window";
  info.work_unit = "pairs";
  info.work_items = 1e6;
  info.tasks = 5'000'000'000;
  info.ranks = 3;
  info.threads = 4;
  info.nodes = 2;
  info.oversubscribed = true;
  info.rank_threads = {4, 2, 1};
  info.rank_node = {0, 0, 1};
  info.rank_cpus = {"0-3", "4,6", "0"};
  info.rank_pid = {1001, 1002, 5'000'000'003};
  info.node_name = {"alpha", "b\xC3\xAAta"};
  info.config_hash = "00112233445566aa";
  info.provenance = {
      {"argv", "cleave run sample"}, {"job_file", "a = 1\n# \xC3\xA9\n"}, {"cwd", ""}};
  return info;
}

inline Repetition sample_repetition(int row, const std::string& schedule) {
  const auto number = [row](int what, int rank) { return 1000.0 * row + 10.0 * what + rank; };
  const auto count = [&](int what, int rank) {
    return (std::uint64_t{1} << 60U) + static_cast<std::uint64_t>(number(what, rank));
  };
  Repetition repetition;
  repetition.wall_s = number(1, 0);
  repetition.schedule_used = schedule;
  repetition.barrier_skew_s = number(2, 0);
  repetition.clock_error_s = number(3, 0);
  repetition.start_utc_s = 1.7e9 + row;
  repetition.load1 = static_cast<float>(row) + 0.5F;
  repetition.state = RepState::done;
  repetition.verify = Verify::ok;
  repetition.checksum = ~static_cast<std::uint64_t>(row);
  for (int rank = 0; rank < 3; ++rank) {
    RankTimes& times = repetition.ranks.emplace_back();
    for (std::size_t phase = 0; phase < phase_count; ++phase) {
      times.phase_time_s[phase] = number(4 + static_cast<int>(phase), rank) + 0.25;
      times.phase_begin_s[phase] = phase == 5 ? not_measured : number(14, rank) + 0.5;
    }
    for (int thread = 0; thread < sample_info().rank_threads[static_cast<std::size_t>(rank)];
         ++thread)
      times.thread_busy_s.push_back(number(20 + thread, rank));
    times.tasks_done = count(30, rank);
    times.chunks_done = count(31, rank);
    times.bytes_in = count(32, rank);
    times.bytes_out = count(33, rank);
    times.involuntary_switches = static_cast<std::uint32_t>(number(34, rank));
    times.peak_memory_bytes = count(35, rank);
    times.program_memory_bytes = count(36, rank);
  }
  return repetition;
}

// NaN is the same as NaN here.
template <class Numbers>
bool same_numbers(const Numbers& a, const Numbers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

inline bool same(const RankTimes& a, const RankTimes& b) {
  return same_numbers(a.phase_time_s, b.phase_time_s) &&
         same_numbers(a.phase_begin_s, b.phase_begin_s) &&
         same_numbers(a.thread_busy_s, b.thread_busy_s) && a.tasks_done == b.tasks_done &&
         a.chunks_done == b.chunks_done && a.bytes_in == b.bytes_in && a.bytes_out == b.bytes_out &&
         a.involuntary_switches == b.involuntary_switches &&
         a.peak_memory_bytes == b.peak_memory_bytes &&
         a.program_memory_bytes == b.program_memory_bytes;
}

inline bool same(const Repetition& a, const Repetition& b) {
  const auto singles = [](const Repetition& r) {
    return std::array{r.wall_s, r.barrier_skew_s, r.clock_error_s, r.start_utc_s,
                      static_cast<double>(r.load1)};
  };
  return same_numbers(singles(a), singles(b)) && a.schedule_used == b.schedule_used &&
         a.state == b.state && a.verify == b.verify && a.checksum == b.checksum &&
         std::equal(a.ranks.begin(), a.ranks.end(), b.ranks.begin(), b.ranks.end(),
                    [](const RankTimes& x, const RankTimes& y) { return same(x, y); });
}

inline bool same(const RunInfo& a, const RunInfo& b) {
  const auto numbers = [](const RunInfo& i) {
    return std::tuple(i.work_items, i.tasks, i.ranks, i.threads, i.nodes, i.oversubscribed);
  };
  const auto texts = [](const RunInfo& i) {
    return std::tie(i.workload, i.schedule, i.sync_method, i.summary_method, i.work_unit,
                    i.config_hash, i.provenance);
  };
  const auto lists = [](const RunInfo& i) {
    return std::tie(i.rank_threads, i.rank_node, i.rank_cpus, i.rank_pid, i.node_name);
  };
  return numbers(a) == numbers(b) && texts(a) == texts(b) && lists(a) == lists(b);
}

inline bool same(const Timings& a, const Timings& b) {
  const auto rows = [](const std::vector<Repetition>& x, const std::vector<Repetition>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const Repetition& p, const Repetition& q) { return same(p, q); });
  };
  return same(a.info, b.info) && rows(a.warm_up, b.warm_up) && rows(a.run, b.run);
}

inline bool same(const TraceRow& a, const TraceRow& b) {
  const auto all = [](const TraceRow& r) {
    return std::tie(r.rep, r.rank, r.thread, r.first_task, r.tasks, r.begin_s, r.end_s);
  };
  return all(a) == all(b);
}

inline std::vector<TraceRow> sample_trace() {
  std::vector<TraceRow> rows;
  for (int i = 0; i < 20; ++i)
    rows.push_back({i / 10, i % 3, i % 2, 100L * i, 100, 0.25 * i, 0.25 * i + 0.2});
  return rows;
}

inline Summary sample_summary() {
  return {{"count", std::int64_t{9'007'199'254'740'993}},
          {"sx", 0.1},
          {"unit", std::string("pairs, \"each\"")},
          {"values", std::vector<std::int64_t>{1, -4, 9}},
          {"means", std::vector<double>{0.5, 1e300}},
          {"sums", std::vector<std::string>{"333332833333500000", "a\nb"}},
          {"nothing", std::vector<double>{}}};
}

} // namespace cleave
