/// @file
/// What drawing a chunk costs, and how near each schedule comes to the bound max(total / P, longest
/// task) on tasks of unequal cost, and where one core is slower.
/// mpirun -n 2 bench/schedules [--repetitions 11] [--mean 100] [--auto-alone 1]
/// (mean: microseconds a task; auto-alone: unequal tasks under `auto` and nothing else)
#include "bench/bench.hpp"
#include "bench/loads.hpp"
#include "bench/task.hpp"
#include "cleave/pool.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <queue>
#include <string>
#include <thread>

namespace {

using bench::Load;

/// The tasks of one rank when all costs are known: each to whoever is free first, longest first.
std::vector<std::int64_t> clairvoyant(const Load& load, int ranks, int rank) {
  std::vector<std::int64_t> order(load.steps.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::int64_t i) { return load.steps[static_cast<std::size_t>(i)]; });
  using Busy = std::pair<std::int64_t, int>;
  std::priority_queue<Busy, std::vector<Busy>, std::greater<>> free;
  for (int r = 0; r < ranks; ++r)
    free.emplace(0, r);
  std::vector<std::int64_t> own;
  for (const std::int64_t i : order) {
    auto [busy, r] = free.top();
    free.pop();
    if (r == rank)
      own.push_back(i);
    free.emplace(busy + load.steps[static_cast<std::size_t>(i)], r);
  }
  return own;
}

/// Nanoseconds that a null task costs its worker.
void null_tasks(cleave::Pool& pool, int repetitions) {
  constexpr std::int64_t n = 4'000'000;
  const std::vector<std::string> schedules = {"block", "dynamic", "dynamic,64", "guided", "auto"};
  std::vector<bench::Side> sides;
  double sink = 0;
  for (const std::string& schedule : schedules)
    sides.push_back(bench::timed([&pool, &sink, schedule] {
      sink += static_cast<double>(pool.map([](std::int64_t i) { return static_cast<double>(i); }, n,
                                           {.schedule = cleave::Schedule::parse(schedule)})
                                      .size());
      pool.comm().barrier();
    }));
  auto seconds = bench::alternate(sides, repetitions);
  if (!pool.is_root())
    return;
  for (std::size_t s = 0; s < schedules.size(); ++s) {
    for (double& value : seconds[s])
      value *= 1e9 / static_cast<double>(n);
    bench::print("null task, " + schedules[s], bench::figure(seconds[s]), "ns of wall time a task",
                 schedules[s] == "dynamic" ? "< 80" : "");
  }
}

/// Of tasks of some length against the same work in a loop on every rank. Collective.
double efficiency(cleave::Pool& pool, const std::string& schedule, double us, double step_ns,
                  int repetitions) {
  const auto steps = static_cast<std::int64_t>(us * 1e3 / step_ns);
  const auto n = static_cast<std::int64_t>(2e5 / us) * pool.workers(); // 0.2 s
  const auto seconds =
      bench::alternate({bench::timed([&] {
                          (void)pool.map([steps](std::int64_t i) { return bench::steps(i, steps); },
                                         n, {.schedule = cleave::Schedule::parse(schedule)});
                          pool.comm().barrier();
                        }),
                        bench::timed([&] {
                          double sum = 0;
                          for (std::int64_t i = 0; i < n / pool.workers(); ++i)
                            sum += bench::steps(i, steps);
                          if (sum == 0)
                            std::printf("nothing was computed\n");
                          pool.comm().barrier();
                        })},
                       repetitions);
  return pool.from_root([&] { return bench::speed_ratio(seconds[0], seconds[1]).median; });
}

/// The shortest tasks of which 95 % of the time is work, in us, to 15 %. Collective.
double shortest_efficient(cleave::Pool& pool, const std::string& schedule, double step_ns,
                          int repetitions) {
  double enough = 64;
  double too_short = 1.0 / 64;
  while (enough / too_short > 1.15) {
    const double us = std::sqrt(enough * too_short);
    (efficiency(pool, schedule, us, step_ns, repetitions) < 0.95 ? too_short : enough) = us;
  }
  return enough;
}

/// METG (Slaughter et al., Task Bench, SC20). One disturbed probe misleads a whole search, so it is
/// the median of three.
void metg(cleave::Pool& pool, const std::string& schedule, const std::string& wanted,
          int repetitions) {
  const double step_ns = pool.from_root(bench::measured_ns_a_step);
  std::vector<double> found;
  for (int search = 0; search < 3; ++search)
    found.push_back(shortest_efficient(pool, schedule, step_ns, repetitions));
  if (pool.is_root())
    bench::print("METG(95 %), " + schedule, bench::figure(found), "us a task, to 15 %", wanted);
}

/// What all of one load's sides took: the clairvoyant plan, each schedule, auto with a hint of
/// cost, auto at a first call. Collective.
std::vector<bench::Seconds> time_load(cleave::Pool& pool, const Load& load,
                                      const std::vector<std::string>& schedules, int repetitions) {
  const auto n = static_cast<std::int64_t>(load.steps.size());
  const cleave::Shared<std::vector<std::int64_t>> shared = pool.share(load.steps);
  const std::span<const std::int64_t> steps = *shared;
  const auto own = clairvoyant(load, pool.comm().size(), pool.comm().rank());
  const auto task = [steps](std::int64_t i) {
    return bench::steps(i, steps[static_cast<std::size_t>(i)]);
  };
  std::vector<bench::Side> sides = {bench::timed([&] {
    double sum = 0;
    for (const std::int64_t i : own)
      sum += task(i);
    if (sum == 1)
      std::printf("an unlikely sum\n");
    pool.comm().barrier();
  })};
  for (const std::string& schedule : schedules)
    sides.push_back(bench::timed([&pool, &task, n, schedule] {
      cleave::CallOptions options{.schedule = cleave::Schedule::parse(schedule)};
      (void)pool.map(task, n, options);
      pool.comm().barrier();
    }));
  sides.push_back(bench::timed([&] {
    const auto cost = [&](std::int64_t i) {
      return static_cast<double>(load.steps[static_cast<std::size_t>(i)]);
    };
    (void)pool.map([task](std::int64_t i) { return task(i); }, n, {.cost = cost});
    pool.comm().barrier();
  }));
  sides.push_back(bench::timed([&pool, &task, n, more = std::int64_t{0}]() mutable {
    const auto one = [task, n](std::int64_t i) { return i < n ? task(i) : 0; };
    (void)pool.map(one, n + ++more); // a number of tasks that it has never had
    pool.comm().barrier();
  }));
  return bench::alternate(sides, repetitions);
}

/// One load under some schedules, the last of them auto.
void irregular(cleave::Pool& pool, const Load& load, const std::vector<std::string>& schedules,
               int repetitions) {
  const auto seconds = time_load(pool, load, schedules, repetitions);
  if (!pool.is_root())
    return;
  const auto longest = static_cast<double>(std::ranges::max(load.steps));
  const auto total = static_cast<double>(std::reduce(load.steps.begin(), load.steps.end()));
  const double share = total / pool.workers();
  const bool giant = 10 * longest > share;
  const std::string wanted = giant ? "<= 1.03" : "<= 1.01";
  const bench::Seconds& plan = seconds[0];
  const bench::Seconds& automatic = seconds[schedules.size()];
  std::printf("\n%s, %zu tasks\n", load.name.c_str(), load.steps.size());
  std::size_t best = 1;
  for (std::size_t s = 1; s < schedules.size(); ++s) {
    bench::print("  " + schedules[s - 1] + " / clairvoyant", bench::time_ratio(seconds[s], plan));
    if (cleave::median(seconds[s]) < cleave::median(seconds[best]))
      best = s;
  }
  bench::print("  auto / clairvoyant", bench::time_ratio(automatic, plan), "", wanted);
  if (schedules.size() > 1)
    bench::print("  auto / the best of the others, " + schedules[best - 1],
                 bench::time_ratio(automatic, seconds[best]), "", "<= 1.05");
  bench::print("  auto with a hint of cost / clairvoyant",
               bench::time_ratio(seconds[schedules.size() + 1], plan), "", giant ? wanted : "");
  const double greedy = (share + longest) / std::max(share, longest); // Graham's bound
  bench::print("  auto, a first call / clairvoyant", bench::time_ratio(seconds.back(), plan), "",
               "<= " + std::to_string(1.01 * greedy).substr(0, 5));
}

/// While it lives, two other threads compute on this thread's core, which leaves it a third.
class Slowed {
public:
  Slowed() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
    sched_setaffinity(0, sizeof here, &here); // which threads inherit
    for (std::jthread& other : others_)
      other = std::jthread([](const std::stop_token& stop) {
        while (!stop.stop_requested())
          (void)bench::steps(0, 10'000);
      });
  }
  Slowed(const Slowed&) = delete;
  Slowed& operator=(const Slowed&) = delete;
  ~Slowed() { sched_setaffinity(0, sizeof before_, &before_); }

private:
  cpu_set_t before_{};
  std::array<std::jthread, 2> others_;
};

/// Equal tasks, where the last rank has a third of its core.
void one_slowed(cleave::Pool& pool, int repetitions) {
  const int ranks = pool.comm().size();
  if (ranks < 2)
    return;
  constexpr auto task = [](std::int64_t i) { return bench::steps(i, 66'667); }; // 0.1 ms
  const std::int64_t n = std::int64_t{5'000} * ranks;                           // 0.5 s
  std::optional<Slowed> slowed;
  if (pool.comm().rank() == ranks - 1)
    slowed.emplace();
  std::vector<bench::Side> sides = {bench::timed([&] { // an n-th part of the work, undisturbed
    double sum = 0;
    for (std::int64_t i = 0; pool.is_root() && i < n / ranks; ++i)
      sum += task(i);
    if (sum == 1)
      std::printf("an unlikely sum\n");
    pool.comm().barrier();
  })};
  const std::vector<std::string> schedules = {"block", "guided", "factoring", "adaptive", "auto"};
  for (const std::string& schedule : schedules)
    sides.push_back(bench::timed([&pool, task, n, schedule] {
      (void)pool.map(task, n, {.schedule = cleave::Schedule::parse(schedule)});
      pool.comm().barrier();
    }));
  auto seconds = bench::alternate(sides, repetitions);
  if (!pool.is_root())
    return;
  std::printf("\nthe last rank slowed 3 times, %lld tasks\n", static_cast<long long>(n));
  for (double& bound : seconds[0])
    bound *= ranks / (ranks - 1 + 1.0 / 3);
  for (std::size_t s = 0; s < schedules.size(); ++s)
    bench::print("  " + schedules[s] + " / bound", bench::time_ratio(seconds[s + 1], seconds[0]),
                 "", schedules[s] == "adaptive" ? "<= 1.08" : "");
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1});
  const int repetitions = bench::option(argc, argv, "repetitions", 11);
  const int mean_us = bench::option(argc, argv, "mean", 100);
  if (pool.is_root())
    bench::print_heading(argc, argv);
  const bool auto_alone = bench::option(argc, argv, "auto-alone", 0) != 0;
  const std::vector<std::string> all = {"block",     "cyclic",   "dynamic",  "guided", "trapezoid",
                                        "factoring", "weighted", "adaptive", "auto"};
  if (!auto_alone) {
    null_tasks(pool, repetitions);
    metg(pool, "dynamic", "< 1", repetitions);
    metg(pool, "auto", "< 0.2", repetitions);
  }
  const std::int64_t n = std::int64_t{200'000} / mean_us * pool.workers(); // 0.2 s
  for (const Load& load : bench::loads(n, mean_us))
    irregular(pool, load, auto_alone ? std::vector<std::string>{"auto"} : all, repetitions);
  if (!auto_alone)
    one_slowed(pool, repetitions);
}
