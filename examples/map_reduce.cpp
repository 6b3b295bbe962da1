/// @file
/// Reductions: one value out of many tasks, on every rank, with the same bits at every number of
/// ranks and threads.
///
///     mpirun -q -n 4 example_map_reduce
#include "cleave/pool.hpp"

#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace {

using Counts = std::map<std::string, int>;

/// A number and how many steps of n -> n/2 or 3n + 1 lead from it to 1.
struct Chain {
  std::int64_t start = 0;
  std::int64_t steps = -1; // shorter than any: neutral
};

Chain chain_from(std::int64_t start) {
  Chain chain{start, 0};
  for (std::int64_t n = start; n != 1; ++chain.steps)
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return chain;
}

// Associative, and the left one wins a tie: the answer is the smallest such start.
Chain longer(Chain a, Chain b) {
  return b.steps > a.steps ? b : a;
}

Counts added(Counts all, const Counts& more) {
  for (const auto& [word, count] : more)
    all[word] += count;
  return all;
}

} // namespace

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session);

  // Over indices: nothing travels but the partial results. One task takes 0.2 us here, so that 1000
  // make a leaf: the grain is best worth about 100 us.
  const Chain longest = pool.map_reduce([](std::int64_t i) { return chain_from(i + 1); }, 100'000,
                                        longer, Chain(), {.grain = 1000});

  // A whole leaf at once: a plain loop, which the compiler may vectorise.
  constexpr std::int64_t strips = 1'000'000;
  const auto area = [](cleave::TaskRange leaf) {
    double sum = 0;
    for (std::int64_t i = leaf.first; i < leaf.last; ++i) {
      const double x = (static_cast<double>(i) + 0.5) / strips;
      sum += 4 / (1 + x * x);
    }
    return sum / strips;
  };
  const double pi = pool.reduce_ranges(area, strips, std::plus<>(), 0.0, {.grain = 50'000});

  // Over inputs, which root alone needs to have. Partial results may be any type that travels.
  std::vector<std::string> words;
  if (pool.is_root())
    words = {"split", "apart", "and", "cling", "together", "and", "split"};
  const auto count = [](const std::string& word) { return Counts{{word, 1}}; };
  const Counts counts = pool.map_reduce(count, words, added, Counts());

  if (pool.is_root()) { // every rank knows the results; one prints them
    std::cout << "longest chain: from " << longest.start << ", " << longest.steps << " steps\n";
    std::cout << "pi: " << std::setprecision(12) << pi << '\n';
    for (const auto& [word, times] : counts)
      std::cout << word << ' ' << times << '\n';
  }
  return 0;
} catch (const cleave::Error& error) {
  std::cerr << error.what() << '\n';
  return exit_status(error.kind());
}
