// EP over P ranks, and over 1 rank of P threads, against P independent single-core copies of the
// kernel run at once. Throughput of the copies is the sum of their own rates, so what the pool
// loses by waiting for the slowest worker counts against it. The three sides run in turns.
//
//   mpirun -q --bind-to none -n P build/bench/ep_scaling [--repetitions 11] [--batches 2048]
//
// --batches is the work of each core in one repetition: 2048 take about 0.25 s with AVX-512.

#include "bench.hpp"
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "jobs/ep.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace {

using cleave::ep::Sums;

constexpr std::int64_t batches_in_leaf = 2; // as the workload has it

Sums sums_of_batches(cleave::TaskRange batches) {
  return cleave::ep::sums_of_pairs(batches.first * cleave::ep::batch_pairs,
                                   batches.size() * cleave::ep::batch_pairs);
}

Sums through(cleave::Pool& pool, std::int64_t batches) {
  return pool.reduce_ranges(sums_of_batches, batches,
                            [](Sums left, const Sums& right) { return left += right; }, Sums{},
                            {.grain = batches_in_leaf});
}

/// This rank's share of the batches, leaf by leaf, without a pool.
Sums alone(cleave::TaskRange batches) {
  Sums sums;
  for (std::int64_t first = batches.first; first < batches.last; first += batches_in_leaf)
    sums += sums_of_batches({first, std::min(batches.last, first + batches_in_leaf)});
  return sums;
}

} // namespace

int main(int argc, char** argv) {
  const int repetitions = bench::option(argc, argv, "repetitions", 11);
  const std::int64_t batches_each = bench::option(argc, argv, "batches", 2048);
  const cleave::Session session(argc, argv);
  const cleave::Comm world(session);
  const int cores = world.size();
  const std::int64_t batches = batches_each * cores;
  if (world.is_root())
    bench::print_heading(argc, argv);

  cleave::Pool ranks(world, {.threads = 1});
  std::unique_ptr<cleave::Pool> threads; // of rank 0; the other ranks sleep meanwhile
  if (world.is_root())
    threads = std::make_unique<cleave::Pool>(MPI_COMM_SELF, cleave::PoolOptions{.threads = cores});

  const Sums expected = through(ranks, batches);
  std::int64_t accepted = 0; // by the copies, which add their sums in another order
  bool right = true;
  const auto copy = bench::timed(
      [&] { accepted = alone(cleave::block_range(batches, cores, world.rank())).accepted; });
  const std::vector<bench::Side> sides = {
      [&] {
        world.barrier();
        const double mine = copy();
        double copies_per_s = 0;
        for (const double seconds : world.all_gather(mine))
          copies_per_s += 1 / seconds;
        const auto all = world.all_gather(accepted);
        right = right && std::reduce(all.begin(), all.end()) == expected.accepted;
        return cores / copies_per_s;
      },
      [&] {
        world.barrier();
        return bench::timed([&] { right = right && through(ranks, batches) == expected; })();
      },
      [&] {
        world.barrier();
        const auto work = [&] { right = right && through(*threads, batches) == expected; };
        const double seconds = threads ? bench::timed(work)() : 0;
        world.barrier();
        return seconds;
      }};
  const auto seconds = bench::alternate(sides, repetitions);
  if (!world.is_root())
    return 0;

  const double mega_numbers = 2e-6 * static_cast<double>(batches * cleave::ep::batch_pairs);
  const std::string p = std::to_string(cores);
  const std::vector<std::string> names = {p + " independent copies", "pool, " + p + " ranks",
                                          "pool, 1 rank x " + p + " threads"};
  for (std::size_t side = 0; side < sides.size(); ++side)
    bench::print(names[side], bench::rate(mega_numbers, seconds[side]), "Mop/s");
  for (std::size_t side = 1; side < sides.size(); ++side)
    bench::print(names[side] + " / copies", bench::speed_ratio(seconds[side], seconds[0]), "",
                 ">= 0.97");
  if (!right)
    std::puts("WRONG: the sides disagree");
  return right ? 0 : 3;
}
