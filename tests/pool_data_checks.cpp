#include "pool_checks.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <numeric>

namespace cleave::testing {
namespace {

void check_shared(Pool& pool) {
  const auto flat = pool.share(pool.is_root() ? 3.5 : 0.0);
  EXPECT_EQ(*flat, 3.5);
  const auto vector = pool.share(numbers<int>(pool, 10'000));
  EXPECT_EQ((*vector).size(), 10'000U);
  EXPECT_EQ(std::accumulate((*vector).begin(), (*vector).end(), 0), 49'995'000);
  const auto empty = pool.share(std::vector<double>());
  EXPECT_TRUE((*empty).empty());
  const auto text = pool.share(std::string(pool.is_root() ? "abc" : ""));
  EXPECT_EQ(*text, "abc");
  EXPECT_EQ(text->size(), 3U);
  const auto word = pool.share(pool.is_root() ? Word{"w", 4} : Word());
  EXPECT_EQ(*word, (Word{"w", 4}));
  const auto flags = pool.share(std::vector<bool>(pool.is_root() ? 5 : 0, true));
  EXPECT_EQ(*flags, std::vector<bool>(5, true));
  // Tasks read it; it outlives the call.
  const auto sum = pool.map_reduce(
      [vector](std::int64_t i) { return std::int64_t{(*vector)[static_cast<std::size_t>(i)]}; },
      10'000, std::plus<>(), std::int64_t{0}, {100});
  EXPECT_EQ(sum, 49'995'000);
}

/// The error that `call` throws.
template <class Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::not_comparable, "nothing was thrown"};
}

void check_from_root(Pool& pool) {
  const int root = 0;
  EXPECT_EQ(pool.from_root([&] { return pool.comm().rank() + 42; }), root + 42);
  EXPECT_EQ(pool.from_root([] { return std::string(10'000, 'x'); }), std::string(10'000, 'x'));
  EXPECT_EQ(pool.from_root([] { return Word{"a", 1}; }), (Word{"a", 1}));
  EXPECT_EQ(pool.from_root([] {
    return std::vector<std::string>{"a", "b"};
  }),
            (std::vector<std::string>{"a", "b"}));
  int calls = 0;
  pool.from_root([&] { ++calls; });
  EXPECT_EQ(calls, pool.is_root() ? 1 : 0);

  const Error kept = error_of([&] {
    pool.from_root([]() -> int {
      throw Error(ErrorKind::not_comparable, "no good", {"job.toml", 3, "key"});
    });
  });
  EXPECT_EQ(kept.kind(), ErrorKind::not_comparable);
  EXPECT_EQ(kept.message(), "no good");
  EXPECT_EQ(kept.place().file, "job.toml");
  EXPECT_EQ(kept.place().line, 3);
  EXPECT_EQ(kept.place().key, "key");
  const Error wrapped = error_of([&] { pool.from_root([] { throw std::out_of_range("far"); }); });
  EXPECT_NE(std::string(wrapped.what()).find("std::out_of_range: far"), std::string::npos);
  const Error foreign = error_of([&] { pool.from_root([]() -> std::string { throw 42; }); });
  EXPECT_NE(std::string(foreign.what()).find("int"), std::string::npos);
  EXPECT_EQ(pool.from_root([] { return 7; }), 7);
}

template <class T, class Make>
void check_round_trip(Pool& pool, std::int64_t n, Make make, LeafOptions options) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < n; ++i)
    values.push_back(make(i));
  const Distributed<T> parts = pool.scatter(at_root(pool, values), options);
  EXPECT_EQ(parts.size(), n);
  const TaskRange own = parts.own();
  EXPECT_EQ(own.size(), std::ssize(parts.local()));
  EXPECT_EQ(pool.leaves_of(parts.leaves(), pool.comm().rank()), parts.own_leaves());
  bool right = true;
  for (std::int64_t i = own.first; i < own.last; ++i)
    right = right && parts.local()[static_cast<std::size_t>(i - own.first)] ==
                         values[static_cast<std::size_t>(i)];
  EXPECT_TRUE(right);
  // The ranks hold everything once.
  std::int64_t held = 0;
  for (const TaskRange& range : pool.comm().all_gather(own)) {
    EXPECT_TRUE(range.empty() || range.first == held);
    held += range.size();
  }
  EXPECT_EQ(held, n);
  EXPECT_EQ(pool.gather(parts), at_root(pool, values));
}

void check_round_trips(Pool& pool) {
  for (const std::int64_t n : {0, 1, 3, 1000})
    for (const LeafOptions options :
         {LeafOptions{1, 65'536}, LeafOptions{7, 65'536}, LeafOptions{1, 2}}) {
      check_round_trip<int>(
          pool, n, [](std::int64_t i) { return static_cast<int>(i); }, options);
      check_round_trip<std::string>(
          pool, n, [](auto i) { return std::to_string(i); }, options);
      check_round_trip<Word>(
          pool, n,
          [](std::int64_t) {
            return Word{"w", 2};
          },
          options);
    }
}

void check_work_in_place(Pool& pool) {
  const LeafOptions options{10, 65'536};
  const auto term = [](int x) { return 1.0 / (1.0 + x); };
  for (const std::int64_t n : {0, 1, 5, 3000}) {
    const auto inputs = numbers<int>(pool, n);
    Distributed<int> parts = pool.scatter(inputs, options);
    const auto next = pool.map([](int x) { return x + 1; }, parts);
    auto expected = inputs;
    for (int& x : expected)
      ++x;
    EXPECT_EQ(pool.gather(next), expected);
    const auto texts = pool.map([](int x, Worker&) { return std::to_string(x); }, parts);
    EXPECT_EQ(std::ssize(pool.gather(texts)), std::ssize(inputs));
    // The same bits as without a Distributed.
    EXPECT_EQ(
        std::bit_cast<std::uint64_t>(pool.map_reduce(term, parts, std::plus<>(), 0.0)),
        std::bit_cast<std::uint64_t>(pool.map_reduce(term, inputs, std::plus<>(), 0.0, options)));
    const auto sum = pool.reduce_ranges(
        [](TaskRange leaf, std::span<const int> values) {
          EXPECT_EQ(std::ssize(values), leaf.size());
          EXPECT_LE(leaf.size(), 10);
          EXPECT_EQ(values.front(), leaf.first);
          return std::accumulate(values.begin(), values.end(), std::int64_t{0});
        },
        parts, std::plus<>(), std::int64_t{0});
    EXPECT_EQ(sum, n * (n - 1) / 2);
    for (int& x : parts.local())
      x = -x; // iterative work changes it where it lies
    EXPECT_EQ(pool.map_reduce([](int x) { return std::int64_t{x}; }, parts, std::plus<>(),
                              std::int64_t{0}),
              -sum);
  }
}

} // namespace

void check_data(Pool& pool) {
  check_shared(pool);
  check_from_root(pool);
  check_round_trips(pool);
  check_work_in_place(pool);
}

} // namespace cleave::testing
