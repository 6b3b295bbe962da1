/// @file
/// What drawing chunks costs on several nodes, against the static schedule: even work, and work
/// that static schedules cannot balance.
/// mpirun --mca btl tcp,self -n 2 bench/nodes [--ranks-per-node 1] [--repetitions 7]
#include "bench/bench.hpp"
#include "bench/task.hpp"
#include "cleave/pool.hpp"

#include <sys/resource.h>

#include <array>
#include <string>
#include <utility>

namespace {

constexpr double ns_a_step = 1.5; // about
constexpr double call_s = 1;

double processor_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Small {
  double value;
};
struct Large { // 64 KiB, such as a tile of an image
  std::array<double, 8192> values;
};

/// One length of tasks. @param growing from nothing to twice the mean
template <class Result>
void tasks_of(cleave::Pool& pool, double us, bool growing, int repetitions) {
  const auto steps = static_cast<std::int64_t>(us * 1e3 / ns_a_step);
  const auto n = static_cast<std::int64_t>(call_s * 1e6 / us) * pool.workers();
  const auto task = [=](std::int64_t i) {
    return Result{bench::steps(i, growing ? 2 * steps * i / n : steps)};
  };
  std::vector<Result> results; // kept, so that no call is charged for new memory
  const std::vector<std::string> schedules = {"block", "auto", "dynamic"};
  std::vector<bench::Seconds> beside(schedules.size()); // root's processor time, but for its worker
  std::vector<bench::Side> sides;
  for (std::size_t s = 0; s < schedules.size(); ++s)
    sides.push_back([&, s] {
      const double before = processor_s();
      const double taken = bench::timed([&] {
        results = pool.map(task, n, {.schedule = cleave::Schedule::parse(schedules[s])},
                           std::move(results));
        pool.comm().barrier();
      })();
      beside[s].push_back((processor_s() - before) / taken - 1);
      return taken;
    });
  const auto seconds = bench::alternate(sides, repetitions);
  if (!pool.is_root())
    return;
  std::printf("tasks of %g us%s%s\n", us, growing ? " in the mean, growing" : "",
              sizeof(Result) == sizeof(Small) ? "" : ", results of 64 KiB");
  for (std::size_t s = 0; s < schedules.size(); ++s) {
    bench::print("  " + schedules[s], bench::figure(seconds[s]), "s");
    if (s > 0)
      bench::print("  " + schedules[s] + ", efficiency to that of block",
                   bench::speed_ratio(seconds[s], seconds[0]), "", growing ? "> 1" : ">= 0.95");
    bench::print("  " + schedules[s] + ", root's time above one core", bench::figure(beside[s]), "",
                 "< 0.02");
  }
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::PoolOptions options{.threads = 1};
  options.comm.ranks_per_node = bench::option(argc, argv, "ranks-per-node", 1);
  cleave::Pool pool(session, options);
  const int repetitions = bench::option(argc, argv, "repetitions", 7);
  if (pool.is_root())
    bench::print_heading(argc, argv);
  for (const double us : {1000.0, 100.0, 10.0})
    tasks_of<Small>(pool, us, false, repetitions);
  tasks_of<Small>(pool, 100, true, repetitions);
  tasks_of<Large>(pool, 1000, false, repetitions);
}
