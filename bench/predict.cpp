/// @file
/// How near `predict` comes: the irregular suite under every technique, from traces of one rank to
/// the measured times of two and more.
/// mpirun -n 2 bench/predict [--repetitions 11] [--tasks 400] [--mean 100]
/// [--ranks-per-node N] [--record DIR]
#include "cleave/predict.hpp"

#include "bench/bench.hpp"
#include "bench/loads.hpp"
#include "bench/task.hpp"
#include "cleave/pool.hpp"

#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace {

constexpr int most_turns = 1000;
constexpr double most_s = 25; // for a load

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// A repetition, and whether other programs took a core away for more than a hundredth of it: such
/// a one tells nothing of ours.
struct Taken {
  cleave::Repetition repetition;
  bool disturbed = false;
};

/// Collective; the answer is root's alone.
Taken take(cleave::Pool& pool, const std::function<void()>& work) {
  const double before_s = processor_s();
  Taken taken{pool.measure(work)};
  const double used_s = processor_s() - before_s;
  const auto check = [&taken](int rank, double rank_used_s) {
    const cleave::RankTimes& times = taken.repetition.ranks[static_cast<std::size_t>(rank)];
    taken.disturbed = taken.disturbed ||
                      times.thread_busy_s.front() > rank_used_s + taken.repetition.wall_s / 100;
  };
  if (pool.is_root())
    check(0, used_s);
  pool.comm().gather_blobs(std::as_bytes(std::span(&used_s, 1)),
                           [&](int rank, const std::vector<std::byte>& blob) {
                             double rank_used_s = 0;
                             std::memcpy(&rank_used_s, blob.data(), sizeof rank_used_s);
                             check(rank, rank_used_s);
                           });
  return taken;
}

/// A load on one rank, traced, and on all, in turns.
struct Runs {
  cleave::Timings alone;
  std::vector<cleave::TraceRow> trace;
  std::vector<bench::Seconds> together; // by schedule
  int discarded = 0;
  bool short_of_repetitions = false; // by other programs
};

bool undisturbed_run(const cleave::Repetition& repetition) {
  return repetition.state == cleave::RepState::done;
}

double spent_s(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Bench {
public:
  Bench(const cleave::Session& session, int repetitions, int ranks_per_node)
      : repetitions_(static_cast<std::size_t>(repetitions)),
        all_(session, options(ranks_per_node)) {}

  cleave::Pool& pool() { return all_; }

  /// Until all sides have repetitions enough that nobody disturbed, or it takes too long.
  Runs measure(const bench::Load& load) {
    const auto n = static_cast<std::int64_t>(load.steps.size());
    const cleave::Shared<std::vector<std::int64_t>> shared = all_.share(load.steps);
    const std::span<const std::int64_t> steps = *shared;
    const auto task = [steps](std::int64_t i) {
      return bench::steps(i, steps[static_cast<std::size_t>(i)]);
    };
    const std::vector<cleave::Schedule> schedules = cleave::all_schedules();
    Runs runs;
    runs.together.resize(schedules.size());
    std::optional<cleave::Pool> one;
    if (all_.is_root())
      one.emplace(MPI_COMM_SELF, cleave::PoolOptions{.threads = 1, .trace = true});
    const auto start = std::chrono::steady_clock::now();
    const auto map = [&](cleave::Pool& pool, const cleave::Schedule& schedule) {
      return take(pool, [&] { (void)pool.map(task, n, {.schedule = schedule}); });
    };
    for (int turn = -1; turn < most_turns; ++turn) {
      if (one)
        add(runs, map(*one, cleave::Schedule::parse("dynamic")), turn < 0);
      all_.comm().barrier();
      for (std::size_t s = 0; s < schedules.size(); ++s) {
        const Taken taken = map(all_, schedules[s]);
        if (turn < 0)
          continue;
        if (taken.disturbed)
          ++runs.discarded;
        else
          runs.together[s].push_back(taken.repetition.wall_s);
      }
      const bool over = all_.from_root([&] { return enough(runs) || spent_s(start) > most_s; });
      if (over)
        break;
    }
    runs.short_of_repetitions = !enough(runs);
    if (one) {
      runs.trace = one->take_trace();
      runs.alone.info = one->timings().info;
      runs.alone.info.workload = load.name;
      runs.alone.info.schedule = "dynamic";
      runs.alone.info.tasks = n;
    }
    return runs;
  }

private:
  static cleave::PoolOptions options(int ranks_per_node) {
    cleave::PoolOptions options{.threads = 1};
    options.comm.ranks_per_node = ranks_per_node;
    return options;
  }

  static void add(Runs& runs, Taken taken, bool warm_up) {
    if (taken.disturbed) {
      ++runs.discarded;
      taken.repetition.state = cleave::RepState::interrupted;
    }
    (warm_up ? runs.alone.warm_up : runs.alone.run).push_back(std::move(taken.repetition));
  }

  [[nodiscard]] bool enough(const Runs& runs) const {
    const auto undisturbed = std::ranges::count_if(runs.alone.run, undisturbed_run);
    return std::cmp_greater_equal(undisturbed, repetitions_) &&
           std::ranges::all_of(runs.together, [this](const bench::Seconds& each) {
             return each.size() >= repetitions_;
           });
  }

  std::size_t repetitions_;
  cleave::Pool all_;
};

/// Files for tests/data/predict: the first three repetitions of one rank, and measured times.
class Records {
public:
  explicit Records(const std::filesystem::path& folder)
      : walls_(folder / "walls.csv"), chunks_(folder / "chunks.csv"), times_(folder / "times.csv") {
    walls_ << "load,rep,wall_ns\n";
    chunks_ << "load,rep,task,begin_ns,end_ns\n";
    times_ << "load,schedule,ranks,median_s,lo_s,hi_s,n\n";
  }
  void add(const std::string& load, const Runs& runs, std::span<const cleave::Schedule> schedules,
           int ranks) {
    const auto ns = [](double seconds) { return std::llround(seconds * 1e9); };
    int kept = 0;
    for (std::size_t r = 0; r < runs.alone.run.size() && kept < 3; ++r) {
      if (!undisturbed_run(runs.alone.run[r]))
        continue;
      walls_ << load << ',' << kept << ',' << ns(runs.alone.run[r].wall_s) << '\n';
      for (const cleave::TraceRow& row : runs.trace)
        if (std::cmp_equal(row.rep, r + runs.alone.warm_up.size()))
          chunks_ << load << ',' << kept << ',' << row.first_task << ',' << ns(row.begin_s) << ','
                  << ns(row.end_s) << '\n';
      ++kept;
    }
    for (std::size_t s = 0; s < schedules.size(); ++s) {
      const bench::Figure time = bench::figure(runs.together[s]);
      const cleave::Interval interval = time.interval.value_or(cleave::Interval{});
      times_ << load << ',' << schedules[s].text() << ',' << ranks << ',' << time.median << ','
             << interval.lo << ',' << interval.hi << ',' << runs.together[s].size() << '\n';
    }
  }

private:
  std::ofstream walls_;
  std::ofstream chunks_;
  std::ofstream times_;
};

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  const int ranks_per_node = bench::option(argc, argv, "ranks-per-node", 1 << 20);
  Bench bench(session, bench::option(argc, argv, "repetitions", 11), ranks_per_node);
  const int mean_us = bench::option(argc, argv, "mean", 100);
  const int tasks = bench::option(argc, argv, "tasks", 400);
  const std::vector<cleave::Schedule> schedules = cleave::all_schedules();
  const int ranks = bench.pool().workers();
  std::optional<Records> records;
  if (bench.pool().is_root()) {
    bench::print_heading(argc, argv);
    for (int i = 1; i + 1 < argc; ++i)
      if (argv[i] == std::string("--record"))
        records.emplace(argv[i + 1]);
  }
  std::vector<double> errors;
  std::vector<bench::Load> loads = bench::loads(tasks, mean_us);
  for (const bench::Load& load : loads) {
    const Runs runs = bench.measure(load);
    if (!bench.pool().is_root())
      continue;
    if (runs.short_of_repetitions) {
      std::printf("%s: other programs disturbed too many repetitions\n", load.name.c_str());
      continue;
    }
    const cleave::MeasuredRun run = cleave::measured_run(runs.alone, runs.trace);
    std::printf("%s: %zu repetitions of one rank, %d disturbed ones left out\n", load.name.c_str(),
                run.repetitions.size(), runs.discarded);
    for (std::size_t s = 0; s < schedules.size(); ++s) {
      const auto predicted =
          cleave::predict(run, schedules[s], {ranks, std::min(ranks, ranks_per_node)});
      const bench::Figure measured = bench::figure(runs.together[s]);
      const double error = predicted.time_s.value / measured.median - 1;
      std::printf("  %-10s predicted %.5f s, measured %.5f s of %zu: %+.1f %%\n",
                  schedules[s].text().c_str(), predicted.time_s.value, measured.median,
                  runs.together[s].size(), 100 * error);
      errors.push_back(std::abs(error));
    }
    if (records)
      records->add(load.name, runs, schedules, ranks);
  }
  if (errors.empty())
    return 0;
  std::printf("\nerror: median %.1f %% (wanted: <= 10), worst %.1f %% (wanted: <= 15)\n",
              100 * cleave::median(errors), 100 * *std::ranges::max_element(errors));
}
