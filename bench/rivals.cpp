/// @file
/// One task under Cleave and, on one rank, under OpenMP and oneTBB where CMake found them: what a
/// null task costs, and the efficiency at some lengths. bench/rivals.py takes turns of it with
/// Python's pools and prints the table; here each line is a name, a column and a value.
/// mpirun -n 2 bench/rivals; bench/rivals --threads 2
#include "bench/bench.hpp"
#include "bench/task.hpp"
#include "cleave/executor.hpp"

#ifdef RIVALS_TBB
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

/// Runs a function once on each worker.
using Each = std::function<void(const std::function<void()>& function)>;

/// One way to run n tasks of so many steps on all workers.
struct Rival {
  std::string name;
  std::int64_t null_tasks; // enough for milliseconds
  std::function<void(std::int64_t n, std::int64_t steps)> run;
};

Rival pool_map(cleave::Pool& pool, const std::string& schedule) {
  return {"Pool::map, " + schedule, 4'000'000,
          [&pool, schedule](std::int64_t n, std::int64_t steps) {
            (void)pool.map([steps](std::int64_t i) { return bench::steps(i, steps); }, n,
                           {.schedule = cleave::Schedule::parse(schedule)});
          }};
}

Rival executor_submit(cleave::Pool& pool) {
  return {"Executor::submit", 100'000, [&pool](std::int64_t n, std::int64_t steps) {
            cleave::Executor::run(pool, [n, steps](cleave::Executor& e) {
              std::vector<cleave::Future<double>> futures;
              for (std::int64_t i = 0; i < n; ++i)
                futures.push_back(e.submit<&bench::steps>(i, steps));
              for (const auto& future : futures)
                (void)future.get();
            });
          }};
}

/// Threads write into memory that nobody has filled before, as the Pool's do.
[[maybe_unused]] std::unique_ptr<double[]> results(std::int64_t n) {
  return std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(n));
}

#ifdef _OPENMP
std::vector<Rival> openmp(int threads) {
  return {{"OpenMP dynamic,1", 4'000'000,
           [threads](std::int64_t n, std::int64_t steps) {
             const auto out = results(n);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
             for (std::int64_t i = 0; i < n; ++i)
               out[static_cast<std::size_t>(i)] = bench::steps(i, steps);
           }},
          {"OpenMP guided", 4'000'000, [threads](std::int64_t n, std::int64_t steps) {
             const auto out = results(n);
#pragma omp parallel for schedule(guided) num_threads(threads)
             for (std::int64_t i = 0; i < n; ++i)
               out[static_cast<std::size_t>(i)] = bench::steps(i, steps);
           }}};
}
#else
std::vector<Rival> openmp(int) {
  std::printf("OpenMP\tnot installed when this was built\n");
  return {};
}
#endif

#ifdef RIVALS_TBB
template <class Partitioner>
Rival parallel_for(const std::string& partitioner, int threads) {
  const auto arena = std::make_shared<tbb::task_arena>(threads);
  return {"oneTBB " + partitioner, 4'000'000, [arena](std::int64_t n, std::int64_t steps) {
            const auto out = results(n);
            const auto body = [&out, steps](const tbb::blocked_range<std::int64_t>& range) {
              for (std::int64_t i = range.begin(); i < range.end(); ++i)
                out[static_cast<std::size_t>(i)] = bench::steps(i, steps);
            };
            arena->execute([&body, n] {
              tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, n), body, Partitioner());
            });
          }};
}

std::vector<Rival> onetbb(int threads) {
  return {parallel_for<tbb::simple_partitioner>("simple_partitioner", threads),
          parallel_for<tbb::auto_partitioner>("auto_partitioner", threads)};
}
#else
std::vector<Rival> onetbb(int) {
  std::printf("oneTBB\tnot installed when this was built\n");
  return {};
}
#endif

/// A bare loop over its share of tasks on each worker, once the threads of the side before sleep.
bench::Side bare(const Each& each, std::int64_t share, std::int64_t steps) {
  const auto loop = [share, steps] {
    for (std::int64_t i = 0; i < share; ++i)
      (void)bench::steps(i, steps);
  };
  return [work = bench::timed([&each, loop] { each(loop); })] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return work();
  };
}

/// @param print (name, column, value)
template <class Print>
void measure(const Rival& rival, int workers, const Each& each, double step_ns, Print print) {
  const auto null = bench::alternate({bench::timed([&] { rival.run(rival.null_tasks, 0); })}, 1);
  print(rival.name, "null", 1e6 * null[0][0] / static_cast<double>(rival.null_tasks));
  for (const int us : {10, 100, 1000}) {
    const std::int64_t steps = std::llround(us * 1e3 / step_ns);
    const std::int64_t share = 100'000 / us; // 0.1 s
    const auto seconds = bench::alternate(
        {bare(each, share, steps), bench::timed([&] { rival.run(share * workers, steps); })}, 1);
    print(rival.name, std::to_string(us), bench::speed_ratio(seconds[1], seconds[0]).median);
  }
}

void print(const std::string& name, const std::string& column, double value) {
  std::printf("%s\t%s\t%.6g\n", name.c_str(), column.c_str(), value);
}

/// @return whether there is one rank alone, so that other libraries can do the same
bool measure_cleave(const cleave::Session& session, int threads) {
  cleave::Pool pool(session, {.threads = threads});
  const bool alone = pool.comm().size() == 1;
  const Each each = [&pool](const std::function<void()>& function) {
    (void)pool.map([&](std::int64_t) { return function(), 0; }, pool.workers(),
                   {.schedule = cleave::Schedule::parse("block")});
  };
  const auto print_at_root = [&](const std::string& name, const std::string& column, double value) {
    if (pool.is_root())
      print("Cleave " + name + (alone ? ", threads" : ", ranks"), column, value);
  };
  const double step_ns = pool.from_root(bench::measured_ns_a_step);
  for (const Rival& rival :
       {pool_map(pool, "dynamic"), pool_map(pool, "auto"), executor_submit(pool)})
    measure(rival, pool.workers(), each, step_ns, print_at_root);
  return alone;
}

void measure_others(int threads) {
  const Each each = [threads](const std::function<void()>& function) {
    std::vector<std::jthread> all(static_cast<std::size_t>(threads));
    for (std::jthread& thread : all)
      thread = std::jthread(function);
  };
  const double step_ns = bench::measured_ns_a_step();
  for (const auto& rivals : {openmp(threads), onetbb(threads)})
    for (const Rival& rival : rivals)
      measure(rival, threads, each, step_ns, print);
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  const int threads = bench::option(argc, argv, "threads", 1);
  if (measure_cleave(session, threads)) // its Pool has pinned this thread until here
    measure_others(threads);
}
