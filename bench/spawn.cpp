/// @file
/// What the workload command loses against bare loops of posix_spawn and waitpid, as many as there
/// are workers.
/// [mpirun -n R] bench/spawn [--tasks 1000] [--repetitions 7] [--threads N]
#include "bench/bench.hpp"
#include "cleave/command.hpp"
#include "cleave/pool.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

bool spawn_one() {
  std::array<char, 5> name = {"true"};
  std::array<char*, 2> words = {name.data(), nullptr};
  pid_t child = 0;
  int status = 0;
  return posix_spawnp(&child, name.data(), nullptr, nullptr, words.data(), environ) == 0 &&
         waitpid(child, &status, 0) == child && status == 0;
}

/// This rank's part of the tasks by `threads` loops.
void spawn_bare(std::int64_t tasks, int threads) {
  std::atomic<std::int64_t> left = tasks;
  std::vector<std::jthread> loops;
  for (int t = 0; t < threads; ++t)
    loops.emplace_back([&left] {
      while (left.fetch_sub(1) > 0)
        if (!spawn_one())
          std::exit(3);
    });
}

cleave::Values values_of(std::int64_t tasks) {
  std::map<std::string, cleave::Values::Given> given;
  given["template"] = {"true", {}, {}};
  given["over"] = {"i=1.." + std::to_string(tasks), {}, {}};
  return {cleave::command_parameters(), given};
}

} // namespace

int main(int argc, char** argv) {
  const int tasks = bench::option(argc, argv, "tasks", 1000);
  const int repetitions = bench::option(argc, argv, "repetitions", 7);
  cleave::start_spawn_server();
  const cleave::Session session(argc, argv);
  cleave::PoolOptions options;
  options.threads = bench::option(argc, argv, "threads", 1);
  cleave::Pool pool(session, options);
  const auto job = cleave::prepare_commands(values_of(tasks), pool);
  const auto seconds = bench::alternate({bench::timed([&] {
                                           pool.comm().barrier();
                                           spawn_bare(tasks / pool.comm().size(), options.threads);
                                           pool.comm().barrier();
                                         }),
                                         bench::timed([&] { job->run(pool); })},
                                        repetitions);
  if (!pool.is_root())
    return 0;
  bench::print_heading(argc, argv);
  bench::print("posix_spawn and waitpid", bench::rate(tasks, seconds[0]), "tasks/s");
  bench::print("the workload command", bench::rate(tasks, seconds[1]), "tasks/s");
  bench::print("command / bare", bench::speed_ratio(seconds[1], seconds[0]), "", ">= 0.9");
  return job->check().verify == cleave::Verify::ok ? 0 : 3;
}
