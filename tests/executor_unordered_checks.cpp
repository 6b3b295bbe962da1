#include "executor_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace cleave::testing {

namespace tasks {

std::int64_t cube(std::int64_t i) {
  return i * i * i;
}

/// The first takes long.
std::int64_t limping(std::int64_t i) {
  std::this_thread::sleep_for(std::chrono::milliseconds(i == 0 ? 300 : 1));
  return i;
}

void refuses(int i) {
  if (i == 7)
    throw std::invalid_argument("seven");
}

} // namespace tasks

namespace {

using Index = std::int64_t;

void check_all_come_once(Executor& e) {
  std::set<Index> seen;
  Index wrong = 0;
  Index taken = 0;
  Index most = 0;
  const auto inputs = std::views::iota(Index{0}, Index{500}) |
                      std::views::transform([&taken](Index i) { return ++taken, 2 * i; });
  const auto count = e.map_unordered<&tasks::cube>(
      inputs,
      [&](Index index, Index result) {
        most = std::max(most, taken - std::ssize(seen));
        seen.insert(index);
        wrong += result == 8 * index * index * index ? 0 : 1;
      },
      5);
  EXPECT_EQ(count, 500);
  EXPECT_EQ(std::ssize(seen), 500);
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(most, 5); // in memory at a time
}

void check_streams(Executor& e) {
  std::istringstream text("3 1 4 1 5");
  Index sum = 0;
  const auto add = [&sum](Index, Index result) { sum += result; };
  EXPECT_EQ(e.map_unordered<&tasks::cube>(std::views::istream<Index>(text), add), 5);
  EXPECT_EQ(sum, 27 + 1 + 64 + 1 + 125);
  EXPECT_EQ(e.map_unordered<&tasks::cube>(std::vector<Index>(), add), 0);
}

/// Nobody waits for a long task but who wants its result.
void check_long_task(Executor& e) {
  std::vector<Index> order;
  e.map_unordered<&tasks::limping>(std::views::iota(Index{0}, Index{40}),
                                   [&order](Index index, Index) { order.push_back(index); });
  EXPECT_EQ(std::ssize(order), 40);
  EXPECT_TRUE(e.workers() == 1 || order.front() != 0);
}

void check_failing(Executor& e) {
  Index results = 0;
  const auto call = [&](int first) {
    e.map_unordered<&tasks::refuses>(std::views::iota(first, 30), [&results](Index) { ++results; });
  };
  EXPECT_THROW(call(0), MapError);
  results = 0;
  call(8);
  EXPECT_EQ(results, 22);
}

} // namespace

void check_unordered(Pool& pool) {
  Executor::run(pool, [](Executor& e) {
    check_all_come_once(e);
    check_streams(e);
    check_long_task(e);
    check_failing(e);
  });
}

} // namespace cleave::testing
