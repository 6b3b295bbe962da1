/// @file
/// What a program sees of several nodes: who runs where, one copy of shared data a node, how data
/// travel, and a schedule for tasks of unequal cost. In a Slurm job that was submitted by
/// `sbatch -N 2 --ntasks-per-node=2 --cpus-per-task=8`:
///
///     srun --mpi=pmix --cpus-per-task=8 --cpu-bind=cores ./example_several_nodes
///
/// On one machine it runs too, and may pretend that every node has one rank:
///
///     mpirun -q -n 2 example_several_nodes 1
#include "cleave/pool.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <ranges>
#include <span>
#include <vector>

namespace {

constexpr std::int64_t block = 1000; // numbers in a task

/// What a task found, and where it ran.
struct Found {
  std::int64_t primes = 0;
  int rank = 0;
};

bool is_prime(std::int64_t n, std::span<const int> primes) {
  const auto not_above_root = [n](std::int64_t p) { return p * p <= n; };
  return n > 1 && std::ranges::none_of(primes | std::views::take_while(not_above_root),
                                       [n](int p) { return n % p == 0; });
}

std::vector<int> primes_below(int limit) {
  std::vector<int> primes;
  for (int n = 2; n < limit; ++n)
    if (is_prime(n, primes))
      primes.push_back(n);
  return primes;
}

void print_layout(const cleave::Layout& layout) {
  std::cout << layout.summary() << '\n';
  for (std::size_t r = 0; r < layout.ranks().size(); ++r) {
    const cleave::RankPlace& rank = layout.ranks()[r];
    const cleave::NodePlace& node = layout.nodes()[static_cast<std::size_t>(rank.node)];
    std::cout << "rank " << r << ": node " << rank.node << ", host " << node.name << ", threads "
              << rank.threads << ", CPUs " << cleave::cpu_list(rank.cpus) << '\n';
  }
}

} // namespace

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::PoolOptions options;
  if (argc > 1)
    options.comm.ranks_per_node = std::atoi(argv[1]); // for tests; 0 is the truth
  cleave::Pool pool(session, options);

  // Root's table, for all to read: one copy in each node's memory, however many ranks it has.
  const auto table = pool.share(pool.is_root() ? primes_below(1000) : std::vector<int>());

  // The later a block of numbers, the longer it takes: workers draw chunks until none is left,
  // those of other nodes from what root grants their node.
  const auto count = [primes = *table](std::int64_t i, cleave::Worker& worker) {
    Found found{0, worker.rank()};
    for (std::int64_t n = i * block; n < (i + 1) * block; ++n)
      found.primes += is_prime(n, primes) ? 1 : 0;
    return found;
  };
  const std::vector<Found> found = pool.map(count, 1000);

  if (pool.is_root()) {
    print_layout(pool.layout());
    std::cout << "data travel by: " << pool.data_path() << '\n';
    std::map<int, int> tasks; // by rank
    std::int64_t primes = 0;
    for (const Found& one : found) {
      ++tasks[one.rank];
      primes += one.primes;
    }
    for (const auto& [rank, count_of_rank] : tasks)
      std::cout << "rank " << rank << ": " << count_of_rank << " tasks\n";
    std::cout << "primes below 1000000: " << primes << '\n';
  }
  return 0;
} catch (const cleave::Error& error) {
  std::cerr << error.what() << '\n';
  return exit_status(error.kind());
}
