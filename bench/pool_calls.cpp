/// @file
/// What a collective call itself costs: an empty map, and a deterministic reduction against a plain
/// MPI_Allreduce of rank partials.
/// mpirun -n 2 bench/pool_calls [--repetitions 15]
#include "bench/bench.hpp"
#include "bench/task.hpp"
#include "cleave/pool.hpp"

#include <string>

namespace {

/// Two sides of a reduction whose tasks take `task_steps` ns, on one call of about `call_s`.
void reductions(cleave::Pool& pool, const char* name, std::int64_t tasks, std::int64_t task_steps,
                int repetitions, const std::string& wanted) {
  const auto task = [task_steps](std::int64_t i) { return bench::steps(i, task_steps); };
  double sink = 0;
  const auto seconds = bench::alternate(
      {bench::timed([&] { sink += pool.map_reduce(task, tasks, std::plus<>(), 0.0); }),
       bench::timed([&] {
         const cleave::TaskRange mine =
             cleave::block_range(tasks, pool.comm().size(), pool.comm().rank());
         double partial = 0;
         for (std::int64_t i = mine.first; i < mine.last; ++i)
           partial += task(i);
         double sum = 0;
         MPI_Allreduce(&partial, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
         sink += sum;
       })},
      repetitions);
  if (!pool.is_root())
    return;
  bench::print(std::string("plain Allreduce, ") + name, bench::figure(seconds[1]), "s");
  bench::print(std::string("map_reduce / plain, ") + name,
               bench::time_ratio(seconds[0], seconds[1]), "", wanted);
  if (sink == 0)
    std::printf("nothing was computed\n");
}

} // namespace

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1});
  const int repetitions = bench::option(argc, argv, "repetitions", 15);
  constexpr int calls = 10'000;
  const auto repeated = [&](const std::function<void()>& call) {
    return bench::timed([&pool, call] {
      for (int i = 0; i < calls; ++i)
        call();
      pool.comm().barrier();
    });
  };
  std::int64_t sum = 0;
  const auto identity = [](std::int64_t i) { return i; };
  auto seconds =
      bench::alternate({repeated([&] { sum += std::ssize(pool.map(identity, 0)); }),
                        repeated([&] { sum += std::ssize(pool.map(identity, pool.workers())); }),
                        repeated([] { MPI_Barrier(MPI_COMM_WORLD); })},
                       repetitions);
  for (bench::Seconds& side : seconds)
    for (double& s : side)
      s *= 1e6 / calls;
  if (pool.is_root()) {
    bench::print_heading(argc, argv);
    std::printf("%d ranks%s, %d repetitions of %d calls (%lld)\n", pool.comm().size(),
                pool.layout().oversubscribed() ? ", over-subscribed" : "", repetitions, calls,
                static_cast<long long>(sum));
    bench::print("an empty map", bench::figure(seconds[0]), "us",
                 "< 3 at 2 ranks, 20 over-subscribed");
    bench::print("a map of one null task a worker", bench::figure(seconds[1]), "us");
    bench::print("MPI_Barrier", bench::figure(seconds[2]), "us");
  }
  const std::int64_t ranks = pool.comm().size();
  reductions(pool, "2 ms", 40 * ranks, 34'000, 10 * repetitions, "<= 1.03");
  reductions(pool, "2 ms, 65,536 leaves", 65'536, 20 * ranks, 10 * repetitions, "");
  reductions(pool, "0.5 s", 1'000 * ranks, 320'000, repetitions, "<= 1.01");
}
