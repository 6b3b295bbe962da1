// Writes timings files as a study of many cores would leave them, for tests of reports, pages and
// their speed: made up, and the same at every call.
//
//   report_probe FOLDER strong|weak|layout|schedule|large [workload]
#include "cleave/results.hpp"
#include "cleave/store.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace cleave;
namespace fs = std::filesystem;

/// Numbers in [0, 1) that look random. Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195.
class Noise {
public:
  double next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return static_cast<double>((z ^ (z >> 31U)) >> 11U) * 0x1p-53;
  }

private:
  std::uint64_t state_ = 42;
};

struct MadePoint {
  int nodes = 1;
  int ranks = 1;
  int threads = 1;
  std::string schedule = "guided";
  double work = 1e9;
  double busy_s = 1;    ///< of the busiest rank
  double spread = 0.02; ///< of the ranks' busy times
  std::string parameters = "class = C\n";
  int repetitions = 30;
};

RunInfo info_of(const MadePoint& point, const std::string& workload) {
  RunInfo info;
  info.workload = workload;
  info.schedule = point.schedule;
  info.sync_method = "common start on the nodes' clocks";
  info.work_unit = "pairs";
  info.work_items = point.work;
  info.tasks = 4096;
  info.ranks = point.ranks;
  info.threads = point.threads;
  info.nodes = point.nodes;
  for (int rank = 0; rank < point.ranks; ++rank) {
    const int on_node = rank % std::max(1, point.ranks / point.nodes);
    const int first = on_node * point.threads;
    info.rank_threads.push_back(point.threads);
    info.rank_node.push_back(rank * point.nodes / point.ranks);
    info.rank_cpus.push_back(point.threads > 1 ? std::to_string(first) + "-" +
                                                     std::to_string(first + point.threads - 1)
                                               : std::to_string(first));
    info.rank_pid.push_back(1000 + rank);
  }
  for (int node = 0; node < point.nodes; ++node)
    info.node_name.push_back("node" + std::to_string(node + 1));
  info.config_hash = point.parameters;
  info.provenance = {{"parameters", point.parameters},
                     {"cpu_model", "Made Up 7B13 64-Core Processor"},
                     {"topology", "2 sockets, 16 cores, 1 thread a core"},
                     {"build_type", "Release"},
                     {"simd_target", "AVX2"},
                     {"build_id", "0123456789abcdef"},
                     {"git_commit", "0123456"},
                     {"git_dirty", "false"},
                     {"compiler", "g++ 12.2.0"},
                     {"cxxflags", "-O3"},
                     {"mpi_version", "Open MPI v4.1.4"},
                     {"kernel", "Linux 6.1.0"},
                     {"governor", "performance"}};
  return info;
}

Repetition repetition_of(const MadePoint& point, int row, double start_utc_s, Noise& noise) {
  Repetition repetition;
  const double slow = 1 + 0.01 * noise.next() - 0.02 * std::log(1 - 0.95 * noise.next());
  double most = 0;
  for (int rank = 0; rank < point.ranks; ++rank) {
    RankTimes times;
    const double busy = point.busy_s * slow * (1 - point.spread * noise.next());
    for (int thread = 0; thread < point.threads; ++thread)
      times.thread_busy_s.push_back(busy * (1 - 0.3 * point.spread * noise.next()));
    most = std::max(most, busy);
    times.phase_time_s[static_cast<std::size_t>(Phase::compute)] = busy;
    times.tasks_done = 4096 / static_cast<std::uint64_t>(point.ranks);
    repetition.ranks.push_back(times);
  }
  const double moving = 0.002 + 0.0004 * point.ranks;
  repetition.wall_s = most + 2 * moving;
  for (RankTimes& times : repetition.ranks) {
    const double compute = times.phase_time_s[static_cast<std::size_t>(Phase::compute)];
    times.phase_time_s[static_cast<std::size_t>(Phase::scatter)] = moving;
    times.phase_time_s[static_cast<std::size_t>(Phase::gather)] = moving;
    times.phase_time_s[static_cast<std::size_t>(Phase::wait)] = most - compute;
  }
  repetition.schedule_used = point.schedule;
  repetition.barrier_skew_s = 2e-6;
  repetition.start_utc_s = start_utc_s + row;
  repetition.state = RepState::done;
  repetition.verify = Verify::ok;
  return repetition;
}

std::vector<TraceRow> trace_of(const MadePoint& point, Noise& noise) {
  std::vector<TraceRow> rows;
  for (int rep = 0; rep < 3; ++rep)
    for (int rank = 0; rank < point.ranks; ++rank)
      for (int thread = 0; thread < point.threads; ++thread) {
        double at_s = 0.003;
        std::int64_t first = 0;
        for (double left = point.busy_s * (1 - point.spread * noise.next());
             left > 0.01 * point.busy_s;) {
          const double taken = left * 0.3;
          rows.push_back({rep, rank, thread, first, 64, at_s, at_s + taken * 0.98});
          at_s += taken;
          left -= taken;
          first += 64;
        }
      }
  return rows;
}

class Writer {
public:
  Writer(const fs::path& study, std::string workload)
      : folder_(study / "points"), workload_(std::move(workload)) {
    fs::create_directories(folder_);
  }

  void write(const MadePoint& point, bool traced = false) {
    const std::string name = std::to_string(count_++);
    Store store(folder_ / ("point-" + name + ".h5"), info_of(point, workload_),
                {point.repetitions, 0, true});
    for (int row = 0; row < point.repetitions; ++row) // interleaved, as a study runs them
      store.commit(row, repetition_of(point, row, 1e9 + 1000.0 * row + count_, noise_));
    if (traced)
      write_trace(folder_ / ("point-" + name + ".trace.h5"), trace_of(point, noise_));
  }

private:
  fs::path folder_;
  std::string workload_;
  Noise noise_;
  int count_ = 0;
};

/// A serial fraction and an overhead that grows: the universal scalability law.
double law(double p) {
  return 24 / p * (1 + 0.008 * (p - 1) + 0.00012 * p * (p - 1));
}

void write_strong(Writer& writer) {
  for (const int workers : {1, 2, 4, 8, 16, 32, 64}) {
    MadePoint point{.nodes = std::max(1, workers / 16), .ranks = workers};
    point.busy_s = law(workers);
    point.spread = 0.02 + 0.004 * workers;
    writer.write(point, workers == 16);
  }
}

void write_weak(Writer& writer, StudyRecord& record) {
  record.mode = StudyMode::weak;
  record.grown = {"n"};
  for (const int workers : {1, 2, 4, 8, 16, 32}) {
    MadePoint point{.nodes = std::max(1, workers / 16), .ranks = workers};
    point.work = 1e8 * workers;
    point.busy_s = 2.4 + 0.02 * workers;
    point.parameters = "n = " + std::to_string(workers) + "\n";
    writer.write(point);
  }
}

void write_layout(Writer& writer, StudyRecord& record) {
  record.mode = StudyMode::layout;
  for (const int ranks : {1, 2, 4, 8, 16}) {
    MadePoint point{.ranks = ranks, .threads = 16 / ranks};
    point.busy_s = 1.6 + 0.05 * std::abs(std::log2(ranks) - 2);
    writer.write(point);
  }
}

void write_schedule(Writer& writer, StudyRecord& record) {
  record.mode = StudyMode::schedule;
  double busy = 2.4;
  for (const char* schedule :
       {"block", "cyclic", "dynamic,64", "guided", "trapezoid", "factoring"}) {
    MadePoint point{.ranks = 16, .schedule = schedule, .busy_s = busy};
    point.spread = busy > 2 ? 0.4 : 0.03;
    busy = busy > 2 ? busy - 0.3 : 1.62;
    writer.write(point);
  }
}

void write_large(Writer& writer) {
  for (int k = 0; k < 125; ++k)
    for (const int workers : {1, 2, 3, 4, 6, 8, 12, 16}) {
      MadePoint point{.ranks = workers, .parameters = "size = " + std::to_string(k) + "\n"};
      point.busy_s = law(workers) * (1 + k);
      writer.write(point);
    }
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: report_probe FOLDER strong|weak|layout|schedule|large [workload]\n";
    return 2;
  }
  const std::string kind = argv[2];
  Writer writer(argv[1], argc > 3 ? argv[3] : "ep");
  StudyRecord record;
  record.title = kind;
  if (kind == "strong")
    write_strong(writer);
  else if (kind == "weak")
    write_weak(writer, record);
  else if (kind == "layout")
    write_layout(writer, record);
  else if (kind == "schedule")
    write_schedule(writer, record);
  else if (kind == "large")
    write_large(writer);
  else
    return 2;
  write_study_record(argv[1], record);
  return 0;
}
