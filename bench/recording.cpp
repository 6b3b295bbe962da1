/// @file
/// What recording costs: a second of work under cleave::record against the same work bare.
/// mpirun -n 2 bench/recording [--repetitions 15]
#include "bench/bench.hpp"
#include "bench/task.hpp"
#include "cleave/record.hpp"

#include <filesystem>

int main(int argc, char** argv) {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session, {.threads = 1});
  const int repetitions = bench::option(argc, argv, "repetitions", 15);
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "recording_bench.h5";
  double sink = 0;
  const auto work = [&] {
    const auto task = [](std::int64_t i) { return bench::steps(i, 640'000); };
    sink += pool.map_reduce(task, std::int64_t{1'000} * pool.workers(), std::plus<>(), 0.0);
  };
  const auto seconds = bench::alternate(
      {bench::timed([&] { cleave::record(pool, file, work, {.force = true}); }), bench::timed([&] {
         pool.comm().barrier();
         work();
       })},
      repetitions);
  if (!pool.is_root())
    return 0;
  std::filesystem::remove(file);
  bench::print_heading(argc, argv);
  bench::print("the work alone", bench::figure(seconds[1]), "s");
  bench::print("recorded / alone, file made and committed",
               bench::time_ratio(seconds[0], seconds[1]), "", "<= 1.01");
  return sink > 0 ? 0 : 1;
}
