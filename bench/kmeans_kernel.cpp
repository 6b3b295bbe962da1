// k-means on one core: an assignment pass of the kernel with every instruction set of this machine
// against the most that a core can multiply and add.
//
//   build/bench/kmeans_kernel [--repetitions 11] [--rows 50000] [--columns 64] [--clusters 64]

#include "bench.hpp"
#include "cleave/simd.hpp"
#include "cleave/worker.hpp"
#include "fma_peak.hpp"
#include "jobs/kmeans.hpp"

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

std::vector<double> random_numbers(std::int64_t count, std::uint32_t call) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  cleave::RandomStream random(1, call, 0);
  for (double& number : numbers)
    number = random.uniform();
  return numbers;
}

} // namespace

int main(int argc, char** argv) {
  using namespace cleave::kmeans;
  const int repetitions = bench::option(argc, argv, "repetitions", 11);
  const std::int64_t rows = bench::option(argc, argv, "rows", 50'000);
  const std::int64_t columns = bench::option(argc, argv, "columns", 64);
  const std::int64_t clusters = bench::option(argc, argv, "clusters", 64);
  constexpr std::int64_t turns = 4'000'000;
  bench::print_heading(argc, argv);

  const std::vector<std::string> targets = cleave::simd_targets();
  const std::vector<double> table = random_numbers(rows * columns, 0);
  const std::vector<double> centroids = random_numbers(clusters * columns, 1);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(rows));
  std::vector<double> sums(Tally::size_of(clusters, columns));
  volatile double sink = 0;
  std::vector<bench::Side> sides;
  std::vector<double> peak_flop;
  for (const std::string& target : targets) {
    cleave::limit_target(target);
    peak_flop.push_back(2.0 * static_cast<double>(turns * bench::fma_count()));
    sides.emplace_back([&, target] {
      cleave::limit_target(target);
      return bench::timed([&] { sink = sink + bench::chained_fmas(turns); })();
    });
    sides.emplace_back([&, target] {
      cleave::limit_target(target);
      const Centroids packed(centroids, columns);
      return bench::timed([&] { assign(packed, table, labels, {clusters, columns, sums}); })();
    });
  }

  const auto seconds = bench::alternate(sides, repetitions);
  const double kernel_flop = 2.0 * static_cast<double>(rows * columns * clusters);
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const bench::Seconds& peak = seconds[2 * t];
    bench::Seconds kernel = seconds[2 * t + 1];
    bench::print(targets[t] + " peak", bench::rate(peak_flop[t] * 1e-9, peak), "Gflop/s");
    bench::print(targets[t] + " kernel", bench::rate(kernel_flop * 1e-9, kernel), "Gflop/s");
    for (double& taken : kernel) // as if it had the work of the peak
      taken *= peak_flop[t] / kernel_flop;
    bench::print(targets[t] + " peak / kernel", bench::speed_ratio(peak, kernel), "",
                 t == 0 ? "<= 3" : "");
  }
}
