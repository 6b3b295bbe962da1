/// @file
/// Tasks one by one: when what comes next depends on what came back. Numbers are factored: what an
/// answer leaves over is submitted again, until nothing is left.
///
///     mpirun -q -n 4 example_futures
#include "cleave/executor.hpp"

#include <cstdint>
#include <deque>
#include <iostream>
#include <map>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

// Tasks are named functions, which every rank knows because every rank runs this program.
std::int64_t smallest_factor(std::int64_t n) {
  if (n < 2)
    throw std::domain_error("has no factors");
  for (std::int64_t factor = 2; factor * factor <= n; ++factor)
    if (n % factor == 0)
      return factor;
  return n;
}

bool is_prime(std::int64_t n) {
  return smallest_factor(n) == n;
}

struct Step {
  std::int64_t number = 0; // as it was given
  std::int64_t left = 0;   // of it, still to be factored
  cleave::Future<std::int64_t> factor;
};
using Factors = std::map<std::int64_t, std::vector<std::int64_t>>;

Factors factor_all(cleave::Executor& executor, const std::vector<std::int64_t>& numbers) {
  std::deque<Step> steps;
  for (const std::int64_t number : numbers)
    steps.push_back({number, number, executor.submit<&smallest_factor>(number)});
  Factors factors;
  for (; !steps.empty(); steps.pop_front()) {
    const auto& [number, left, future] = steps.front();
    const std::int64_t factor = future.get(); // waits for this one; the others go on
    factors[number].push_back(factor);
    if (const std::int64_t rest = left / factor; rest > 1)
      steps.push_back({number, rest, executor.submit<&smallest_factor>(rest)});
  }
  return factors;
}

// Runs at root, on root's own thread, while the workers of all ranks run what it submits.
void work(cleave::Executor& executor) {
  for (const auto& [number, factors] : factor_all(executor, {360, 1001, 999'985'999'949})) {
    std::cout << number << " =";
    for (const std::int64_t factor : factors)
      std::cout << ' ' << factor;
    std::cout << '\n';
  }

  std::vector<std::int64_t> numbers(999);
  std::iota(numbers.begin(), numbers.end(), 2);
  int primes = 0;
  for (const auto& future : cleave::as_completed(executor.map<&is_prime>(numbers)))
    primes += future.get() ? 1 : 0; // in the order in which the tasks end, whichever that is
  std::cout << "primes up to 1000: " << primes << '\n';

  const auto failing = executor.submit<&smallest_factor>(1);
  try {
    failing.get(); // a task's exception waits in its future; no other task takes notice
  } catch (const cleave::MapError& error) {
    std::cout << "1 " << error.failures().front().what << '\n';
  }
}

} // namespace

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session);
  cleave::Executor::run(pool, work); // collective: on other ranks it serves
  return 0;
} catch (const cleave::Error& error) {
  std::cerr << error.what() << '\n';
  return exit_status(error.kind());
}
