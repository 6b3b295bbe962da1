/// @file
/// What a task costs beside its work: the round trip of a small one from root to another rank and
/// back, awake and after a sleep; how many pass a second; large ones; how busy workers are while
/// root sleeps; what a rank costs while it waits. Beside it what the machine's own means take.
/// mpirun -n 2 bench/executor_round_trip [--trips 10000] [--rests 200] [--ranks-per-node N]
#include "bench/bare_trips.hpp"
#include "bench/bench.hpp"
#include "cleave/executor.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;
using Message = std::tuple<int, std::vector<double>, std::string>;

/// What comes back shows that it has been there.
Message answer(int number, std::vector<double> values, const std::string& text,
               cleave::Worker& worker) {
  for (double& value : values)
    value += number;
  return {worker.rank(), std::move(values), text + "!"};
}

/// Which rank is held up for `seconds`, if it is root; others return at once.
int hold_root(double seconds, cleave::Worker& worker) {
  if (worker.rank() == 0)
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return worker.rank();
}

/// When it began and ended, in seconds of the machine's clock, of work on a core.
std::pair<double, double> work(double seconds) {
  const auto now = [] {
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  };
  const double begin = now();
  while (now() - begin < seconds) {
  }
  return {begin, now()};
}

/// Any number of bytes, there and back.
std::vector<double> echo(std::vector<double> values) {
  return values;
}

void sleep_for(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

} // namespace bench

namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Seconds of one round trip; exits with 3 when the answer is wrong.
double round_trip(cleave::Executor& e, int number) {
  const std::vector<double> values = {0.5, 1.5, 2.5, 3.5};
  const auto start = bench::Clock::now();
  const bench::Message message = e.submit<&bench::answer>(number, values, "as it was").get();
  const double seconds = std::chrono::duration<double>(bench::Clock::now() - start).count();
  const auto& [rank, sums, text] = message;
  bool right = rank != 0 && sums.size() == 4 && text == "as it was!";
  for (std::size_t i = 0; i < sums.size(); ++i)
    right = right && sums[i] == values[i] + number;
  if (!right) {
    std::fprintf(stderr, "a wrong answer, of rank %d\n", rank);
    std::exit(3);
  }
  return seconds;
}

/// Keeps root's own workers out of the way for some time.
void hold_root(cleave::Executor& e, double seconds) {
  for (int held = 0; held < 1000; ++held) // more than are needed: most return at once
    (void)e.submit<&bench::hold_root>(seconds);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

void print_trips(const std::string& name, std::vector<double> seconds, const std::string& wanted) {
  for (double& s : seconds)
    s *= 1e6;
  std::ranges::sort(seconds);
  bench::print(name + ", median", bench::figure(seconds), "us", wanted);
  bench::print(name + ", 99 %", {seconds[seconds.size() * 99 / 100], {}}, "us");
}

/// The same between two ranks that do nothing else, for comparison.
void measure_bare(const cleave::Pool& pool, int trips, int rests) {
  const auto messages = bench::message_trips(pool.comm(), trips);
  if (pool.is_root())
    print_trips("bare MPI message and answer, awake", messages, "");
  if (pool.comm().nodes() > 1)
    return;
  const auto wakes = bench::wake_trips(pool.comm(), rests);
  if (pool.is_root())
    print_trips("bare futex, rank 1 asleep", wakes, "");
  const auto woken = bench::woken_after_work(pool.comm(), rests);
  if (pool.is_root())
    print_trips("bare futex, root asleep for 10 ms", woken, "");
}

/// The share of their time that workers work while root sleeps for `rest_s`.
double busy_share(cleave::Executor& e, double task_s, double rest_s) {
  const auto tasks =
      static_cast<std::size_t>(rest_s / task_s) * static_cast<std::size_t>(e.workers());
  const auto futures = e.map<&bench::work>(std::vector<double>(tasks, task_s));
  std::this_thread::sleep_for(std::chrono::duration<double>(rest_s));
  double busy = 0;
  double first = std::numeric_limits<double>::max();
  double last = 0;
  for (const auto& future : futures) {
    const auto [begin, end] = future.get();
    busy += end - begin;
    first = std::min(first, begin);
    last = std::max(last, end);
  }
  return busy / ((last - first) * e.workers());
}

/// Arguments and results of 64 MiB, one task at a time and another waiting.
void measure_large(cleave::Executor& e) {
  constexpr std::size_t bytes = std::size_t{64} << 20;
  const std::vector<std::vector<double>> inputs(4, std::vector<double>(bytes / sizeof(double), 1));
  std::vector<double> rates;
  for (int repetition = 0; repetition < 6; ++repetition) {
    const auto start = bench::Clock::now();
    for (const auto& future : e.map<&bench::echo>(inputs))
      (void)future.get();
    const double seconds = std::chrono::duration<double>(bench::Clock::now() - start).count();
    if (repetition > 0)
      rates.push_back(2e-9 * static_cast<double>(inputs.size() * bytes) / seconds);
  }
  bench::print("64 MiB there and back", bench::figure(rates), "GB/s, both ways together");
}

/// Processor time that each rank takes for a run of two seconds.
void measure_waiting(cleave::Pool& pool, const std::string& name,
                     const std::function<void(cleave::Executor&)>& function) {
  pool.comm().barrier();
  const double before = cpu_seconds();
  cleave::Executor::run(pool, function);
  const std::vector<double> all = pool.comm().all_gather(cpu_seconds() - before);
  if (pool.is_root())
    bench::print(name, {1e3 * *std::ranges::max_element(all), {}}, "ms of a core", "< 40");
}

/// What waiting for tasks of 10 ms on another rank adds to them, and takes of root's core.
void measure_waiting_for_work(cleave::Executor& e) {
  constexpr double task_s = 0.01;
  hold_root(e, 7);
  std::vector<double> added;
  double waited_s = 0;
  const double before = cpu_seconds();
  for (int task = 0; task < 500; ++task) {
    const auto start = bench::Clock::now();
    const auto [begin, end] = e.submit<&bench::work>(task_s).get();
    const double seconds = std::chrono::duration<double>(bench::Clock::now() - start).count();
    waited_s += seconds;
    added.push_back(100 * (seconds - (end - begin)) / task_s);
  }
  const double taken = 100 * (cpu_seconds() - before) / waited_s;
  std::ranges::sort(added);
  bench::print("added to tasks of 10 ms, median", bench::figure(added), "%", "< 1");
  bench::print("added to tasks of 10 ms, 99 %", {added[added.size() * 99 / 100], {}}, "%", "< 5");
  bench::print("waiting for tasks of 10 ms", {taken, {}}, "% of root's core", "< 1");
}

/// Round trips to a rank that has had nothing to do for `rest_ms`.
void measure_asleep(cleave::Executor& e, int rest_ms, int rests, const std::string& wanted) {
  std::vector<double> rested;
  for (int trip = 0; trip < rests; ++trip) {
    std::this_thread::sleep_for(std::chrono::milliseconds(rest_ms));
    rested.push_back(round_trip(e, trip));
  }
  print_trips("round trip, asleep for " + std::to_string(rest_ms) + " ms", rested, wanted);
}

/// What a submit takes of root while every worker sleeps in a task and has its next one.
void measure_submits(cleave::Executor& e, int workers) {
  constexpr int submits = 5000;
  std::vector<double> times;
  for (int repetition = 0; repetition < 11; ++repetition) {
    auto futures = e.map<&bench::sleep_for>(std::vector<double>(std::size_t(2 * workers), 0.2));
    const auto start = bench::Clock::now();
    for (int task = 0; task < submits; ++task)
      futures.push_back(e.submit<&bench::sleep_for>(0.0));
    const std::chrono::duration<double> taken = bench::Clock::now() - start;
    times.push_back(1e6 * taken.count() / submits);
    cleave::wait(futures);
  }
  bench::print("a submit, all workers busy", bench::figure(times), "us");
}

void measure(cleave::Executor& e, int trips, int rests) {
  std::vector<double> awake;
  hold_root(e, 3);
  for (int trip = -1000; trip < trips; ++trip) {
    const double seconds = round_trip(e, trip);
    if (trip >= 0)
      awake.push_back(seconds);
  }
  print_trips("round trip, awake", awake, "< 3 on a node, 20 over TCP");
  measure_asleep(e, 5, rests, "< 60 on a node");
  measure_asleep(e, 100, rests / 4, "");

  measure_large(e);
  std::vector<double> rates;
  for (int repetition = 0; repetition < 11; ++repetition) {
    const auto start = bench::Clock::now();
    const auto futures = e.map<&bench::hold_root>(std::vector<double>(10'000, 0.0));
    cleave::wait(futures);
    rates.push_back(10'000 / std::chrono::duration<double>(bench::Clock::now() - start).count());
  }
  bench::print("null tasks, submitted all at once", bench::figure(rates), "a second");
  for (const double task_s : {0.01, 0.001, 0.0001})
    bench::print("busy while root sleeps, tasks of " + std::to_string(task_s).substr(0, 6) + " s",
                 {busy_share(e, task_s, 1.0), {}}, "", task_s == 0.01 ? "> 0.95" : "");
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::PoolOptions options{.threads = 1};
  options.comm.ranks_per_node = bench::option(argc, argv, "ranks-per-node", 0);
  cleave::Pool pool(session, options);
  const int trips = bench::option(argc, argv, "trips", 10'000);
  const int rests = bench::option(argc, argv, "rests", 200);
  if (pool.comm().size() == 1) {
    std::fprintf(stderr, "start it on two ranks at least: mpirun -n 2\n");
    return 2;
  }
  if (pool.is_root()) {
    bench::print_heading(argc, argv);
    std::printf("%d ranks on %d nodes%s, %d and %d trips\n", pool.comm().size(),
                pool.comm().nodes(), pool.layout().oversubscribed() ? ", over-subscribed" : "",
                trips, rests);
  }
  measure_bare(pool, trips, rests);
  cleave::Executor::run(pool, [&](cleave::Executor& e) { measure(e, trips, rests); });
  cleave::Executor::run(pool,
                        [&](cleave::Executor& e) { measure_submits(e, pool.layout().workers()); });
  cleave::Executor::run(pool, measure_waiting_for_work);
  measure_waiting(pool, "root sleeps 2 s", [](cleave::Executor&) { bench::sleep_for(2); });
  measure_waiting(pool, "all wait 2 s for one task that sleeps",
                  [](cleave::Executor& e) { e.submit<&bench::sleep_for>(2.0).get(); });
}
