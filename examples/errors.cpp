/// @file
/// What fails, and who hears of it: exceptions of tasks as data, MapError, tasks that stop early,
/// kinds of errors and the exit status.
///
///     mpirun -q -n 4 example_errors            # ends with status 0
///     mpirun -q -n 4 example_errors nowhere    # cannot be read: status 2
#include "cleave/pool.hpp"

#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::vector<std::string> read_lines(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw cleave::Error(cleave::ErrorKind::bad_input, "cannot be read", {path, 0, ""});
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

int to_number(const std::string& text) {
  return std::stoi(text); // throws what every C++ programmer knows
}

/// Task 0 fails at once; the others have long to go, and look now and then whether to go on.
int search(std::int64_t task, cleave::Worker& worker) {
  if (task == 0)
    throw std::runtime_error("nothing to search");
  int steps = 0;
  for (; steps < 500 && !worker.stop_requested(); ++steps)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return steps;
}

} // namespace

int main(int argc, char** argv) try {
  const cleave::Session session(argc, argv);
  cleave::Pool pool(session);

  // Files are opened at root. What root throws inside from_root, every rank throws.
  const auto lines = pool.from_root([&] {
    return argc > 1 ? read_lines(argv[1]) : std::vector<std::string>{"1", "two", "3", "4e"};
  });

  // Go on after failures: results where there are some, the reasons beside them.
  const auto outcome = pool.map_collect(to_number, lines);
  if (pool.is_root()) {
    for (const std::optional<int>& number : outcome.results)
      std::cout << (number ? std::to_string(*number) : "-") << ' ';
    std::cout << '\n';
    for (const cleave::TaskFailure& failure : outcome.failures)
      std::cout << "line " << failure.task + 1 << ": " << failure.type << '\n';
  }

  // Or stop at the first: every rank throws the same MapError, and the Pool lives on.
  try {
    pool.map(search, 100);
  } catch (const cleave::MapError& error) {
    const cleave::TaskFailure& first = error.failures().front();
    if (pool.is_root())
      std::cout << "task " << first.task << ": " << first.what << " (" << name(error.kind())
                << ", status " << exit_status(error.kind()) << ")\n";
  }
  const int sum =
      pool.map_reduce([](std::int64_t i) { return static_cast<int>(i); }, 10, std::plus<>(), 0);
  if (pool.is_root())
    std::cout << "the Pool goes on: " << sum << '\n';
  return 0;
} catch (const cleave::Error& error) { // on every rank, so that each says it
  std::cerr << error.what() << '\n';
  return exit_status(error.kind()); // 2: bad input, 3: failed task, lost peer, ...
}
