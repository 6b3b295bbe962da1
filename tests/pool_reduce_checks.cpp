#include "pool_checks.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <numeric>

namespace cleave::testing {
namespace {

/// Promise 1, spelt out: each leaf folded from the left, leaves joined by the binary tree over
/// their numbers.
template <class R, class F, class Op>
R fold(const Leaves& leaves, std::int64_t leaf, const F& f, const Op& op, R all) {
  const TaskRange tasks = leaves.tasks_of(leaf);
  for (std::int64_t i = tasks.first; i < tasks.last; ++i)
    all = op(all, f(i));
  return all;
}

template <class R, class F, class Op>
R join(const Leaves& leaves, std::int64_t first, std::int64_t size, const F& f, const Op& op,
       const R& identity) {
  if (size == 1)
    return fold(leaves, first, f, op, identity);
  const std::int64_t half = size / 2;
  if (first + half >= leaves.count())
    return join(leaves, first, half, f, op, identity);
  const R left = join(leaves, first, half, f, op, identity);
  return op(left, join(leaves, first + half, half, f, op, identity));
}

template <class R, class F, class Op>
R defined(std::int64_t n, const F& f, const Op& op, const R& identity, LeafOptions options) {
  const Leaves leaves(n, options.grain, options.max_leaves);
  if (n == 0)
    return identity;
  const auto size = std::bit_ceil(static_cast<std::uint64_t>(leaves.count()));
  return join(leaves, 0, static_cast<std::int64_t>(size), f, op, identity);
}

const std::vector<LeafOptions>& leaf_options() {
  static const std::vector<LeafOptions> all = {{1, 65'536}, {10, 65'536}, {1, 7}, {1'000'000, 1}};
  return all;
}

/// Writes down which operands met in which order.
struct Bracket {
  std::string operator()(const std::string& a, const std::string& b) const {
    return a.empty() ? b : "(" + a + b + ")";
  }
};

void check_order(Pool& pool) {
  const auto name = [](std::int64_t i) { return std::to_string(i) + ","; };
  for (const std::int64_t n : {0, 1, 2, 5, 64, 203})
    for (const LeafOptions& options : leaf_options()) {
      const std::string expected = defined(n, name, Bracket(), std::string(), options);
      EXPECT_EQ(pool.map_reduce(name, n, Bracket(), std::string(), options), expected);
      EXPECT_EQ(pool.map_reduce([](int i) { return std::to_string(i) + ","; },
                                numbers<int>(pool, n), Bracket(), std::string(), options),
                expected);
      std::vector<std::string> names;
      for (std::int64_t i = 0; i < n; ++i)
        names.push_back(name(i));
      EXPECT_EQ(pool.map_reduce([](const std::string& s) { return s; }, at_root(pool, names),
                                Bracket(), std::string(), options),
                expected);
    }
}

void check_bits(Pool& pool) {
  const auto term = [](std::int64_t i) { return 1.0 / (1.0 + static_cast<double>(i)); };
  const auto term_f = [](int i) { return 1.0F / (1.0F + static_cast<float>(i)); };
  for (const std::int64_t n : {1, 1000, 30'000})
    for (const LeafOptions& options : leaf_options()) {
      const double sum = pool.map_reduce(term, n, std::plus<>(), 0.0, options);
      EXPECT_EQ(std::bit_cast<std::uint64_t>(sum),
                std::bit_cast<std::uint64_t>(defined(n, term, std::plus<>(), 0.0, options)));
      const float sum_f =
          pool.map_reduce(term_f, numbers<int>(pool, n), std::plus<>(), 0.0F, options);
      const auto by_index = [&](std::int64_t i) { return term_f(static_cast<int>(i)); };
      EXPECT_EQ(std::bit_cast<std::uint32_t>(sum_f),
                std::bit_cast<std::uint32_t>(defined(n, by_index, std::plus<>(), 0.0F, options)));
    }
}

using Ranges = std::vector<TaskRange>;

Ranges together(Ranges a, const Ranges& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void check_ranges(Pool& pool) {
  for (const std::int64_t n : {0, 1, 7, 200})
    for (const LeafOptions& options : leaf_options()) {
      const Leaves leaves(n, options.grain, options.max_leaves);
      Ranges expected;
      for (std::int64_t leaf = 0; leaf < leaves.count(); ++leaf)
        expected.push_back(leaves.tasks_of(leaf));
      EXPECT_EQ(pool.reduce_ranges([](TaskRange leaf) { return Ranges{leaf}; }, n, together,
                                   Ranges(), options),
                expected);
      EXPECT_EQ(pool.reduce_ranges([](TaskRange leaf, Worker&) { return Ranges{leaf}; }, n,
                                   together, Ranges(), options),
                expected);
    }
}

void check_large(Pool& pool) {
  // Sizes beyond 2^31 and 2^32, in few leaves.
  constexpr std::int64_t n = (std::int64_t{1} << 33) + 12'345;
  const auto size = pool.reduce_ranges([](TaskRange leaf) { return leaf.size(); }, n, std::plus<>(),
                                       std::int64_t{0}, {1, 10});
  EXPECT_EQ(size, n);
  const auto last = pool.reduce_ranges([](TaskRange leaf) { return leaf.last; }, n,
                                       [](auto a, auto b) { return std::max(a, b); },
                                       std::int64_t{0}, {std::int64_t{1} << 30, 65'536});
  EXPECT_EQ(last, n);
}

void check_workers(Pool& pool) {
  const auto sum = pool.map_reduce(
      [](std::int64_t i, Worker& worker) { return i * (worker.thread() >= 0 ? 1 : 0); }, 100,
      std::plus<>(), std::int64_t{0});
  EXPECT_EQ(sum, 4950);
  const auto sum_of_values =
      pool.map_reduce([](int i, Worker& worker) { return i + 0 * worker.rank(); },
                      numbers<int>(pool, 100), std::plus<>(), 0);
  EXPECT_EQ(sum_of_values, 4950);
}

} // namespace

void check_reductions(Pool& pool) {
  check_order(pool);
  check_bits(pool);
  check_ranges(pool);
  check_large(pool);
  check_workers(pool);
  EXPECT_THROW(
      (void)pool.map_reduce([](std::int64_t i) { return i; }, -5, std::plus<>(), std::int64_t{0}),
      Error);
}

} // namespace cleave::testing
