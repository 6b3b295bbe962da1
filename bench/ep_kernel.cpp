// EP on one core: the vectorised kernel of jobs/ep.cpp with every instruction set of this machine
// against the plain loop of bench/ep_plain.cpp.
//
//   build/bench/ep_kernel [--repetitions 11] [--batches 64]

#include "bench.hpp"
#include "cleave/simd.hpp"
#include "ep_plain.hpp"
#include "jobs/ep.hpp"

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  const int repetitions = bench::option(argc, argv, "repetitions", 11);
  const int batches = bench::option(argc, argv, "batches", 64);
  const std::int64_t pairs = batches * cleave::ep::batch_pairs;
  const std::vector<std::string> targets = cleave::simd_targets();
  bench::print_heading(argc, argv);

  // Every turn takes new pairs: a branch predictor learns the same ones by heart.
  std::int64_t first = 0;
  cleave::ep::Sums expected;
  bool right = true;
  std::vector<bench::Side> sides = {[&] {
    first += pairs;
    return bench::timed([&] { expected = bench::plain_sums_of_pairs(first, pairs); })();
  }};
  for (const std::string& target : targets)
    sides.emplace_back([&, target] {
      cleave::limit_target(target);
      static_cast<void>(cleave::ep::sums_of_pairs(0, 0)); // finds the target's kernel, untimed
      cleave::ep::Sums sums;
      const double seconds =
          bench::timed([&] { sums = cleave::ep::sums_of_pairs(first, pairs); })();
      right = right && sums.counts == expected.counts;
      return seconds;
    });

  const auto seconds = bench::alternate(sides, repetitions);
  const double mega_numbers = 2e-6 * static_cast<double>(pairs);
  bench::print("plain loop", bench::rate(mega_numbers, seconds[0]), "Mop/s, wanted: >= 130");
  for (std::size_t side = 1; side < sides.size(); ++side) {
    const bench::Figure rate = bench::rate(mega_numbers, seconds[side]);
    bench::print(targets[side - 1], rate,
                 side == 1 ? "Mop/s, wanted: >= 600 with AVX-512" : "Mop/s");
    bench::print(targets[side - 1] + " / plain loop", bench::speed_ratio(seconds[side], seconds[0]),
                 "", side == 1 ? ">= 4.5" : "");
  }
  if (!right)
    std::puts("WRONG: the sides disagree");
  return right ? 0 : 3;
}
