/// @file
/// The smallest program on the library: squares of numbers, computed by every core of every rank,
/// with a timings file for scaling studies.
///
///     mpirun -q -n 4 example_map [timings.h5]
#include "cleave/pool.hpp"
#include "cleave/record.hpp"

#include <iostream>
#include <numeric>
#include <vector>

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session);

  std::vector<int> numbers; // inputs are read at root: elsewhere they may stay empty
  if (pool.is_root()) {
    numbers.resize(10);
    std::iota(numbers.begin(), numbers.end(), 1);
  }

  std::vector<int> squares;
  const auto work = [&] { squares = pool.map([](int n) { return n * n; }, numbers); };
  if (argc > 1)
    cleave::record(pool, argv[1], work, {.name = "squares", .repetitions = 5});
  else
    work();

  if (pool.is_root()) {
    for (const int square : squares)
      std::cout << square << ' ';
    std::cout << '\n';
  }
  return 0;
} catch (const cleave::Error& error) {
  std::cerr << error.what() << '\n';
  return exit_status(error.kind());
}
