#include "pool_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace cleave::testing {
namespace {

__extension__ using Int128 = __int128;

/// Fewer tasks than workers, as many, and several blocks of 64 KiB a worker.
constexpr std::array<std::int64_t, 8> sizes = {0, 1, 2, 3, 7, 16, 1000, 30'000};

struct NoDefault {
  explicit NoDefault(std::int64_t v) : value(v) {}
  std::int64_t value;
  friend bool operator==(const NoDefault&, const NoDefault&) = default;
};

struct alignas(64) Wide {
  std::int64_t lane[8];
  friend bool operator==(const Wide& a, const Wide& b) {
    return std::ranges::equal(a.lane, b.lane);
  }
};

struct Odd {
  std::array<unsigned char, 3> bytes;
  friend bool operator==(const Odd&, const Odd&) = default;
};

/// The results must be f(0), f(1), ... at root, and nothing elsewhere.
template <class R, class F>
void expect_all(const Pool& pool, const std::vector<R>& results, std::int64_t n, F f) {
  EXPECT_EQ(std::ssize(results), pool.is_root() ? n : 0);
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < std::ssize(results); ++i)
    wrong += results[static_cast<std::size_t>(i)] == f(i) ? 0 : 1;
  EXPECT_EQ(wrong, 0);
}

/// map over indices and over values of the same function.
template <class T, class F>
void check_both(Pool& pool, F f) {
  for (const std::int64_t n : {0, 1, 3, 500}) {
    expect_all(pool, pool.map(f, n), n, f);
    expect_all(
        pool,
        pool.map([f](const T& x) { return f(static_cast<std::int64_t>(x)); }, numbers<T>(pool, n)),
        n, f);
  }
}

/// Results in the memory of earlier ones, whether it is too small, just right or too large.
void check_recycling(Pool& pool) {
  const auto twice = [](double x) { return 2 * x; };
  std::vector<double> results;
  for (const std::int64_t n : {1000, 30'000, 30'000, 7, 0, 30'000}) {
    const bool fits = results.capacity() >= static_cast<std::size_t>(n);
    const double* const before = results.data();
    results = pool.map(twice, numbers<double>(pool, n), {}, std::move(results));
    expect_all(pool, results, n, [](std::int64_t i) { return 2.0 * static_cast<double>(i); });
    EXPECT_EQ(!fits || results.data() == before, true);
  }
  std::vector<std::string> words(3, "old");
  words = pool.map([](std::int64_t i) { return std::to_string(i); }, 5, {}, std::move(words));
  expect_all(pool, words, 5, [](std::int64_t i) { return std::to_string(i); });
}

void check_sizes(Pool& pool) {
  for (const std::int64_t n : sizes) {
    SCOPED_TRACE(n);
    const auto half = [](std::int64_t i) { return 0.5 * static_cast<double>(i); };
    expect_all(pool, pool.map(half, n), n, half);
    expect_all(pool, pool.map([](double x) { return 0.5 * x; }, numbers<double>(pool, n)), n, half);
    // Results smaller and larger than inputs.
    expect_all(
        pool,
        pool.map([](double x) { return static_cast<char>(x); }, numbers<double>(pool, n % 100)),
        n % 100, [](std::int64_t i) { return static_cast<char>(i); });
    expect_all(pool,
               pool.map(
                   [](short x) {
                     return Wide{{x, x, x, x, x, x, x, x}};
                   },
                   numbers<short>(pool, n)),
               n, [](std::int64_t i) {
                 return Wide{{i, i, i, i, i, i, i, i}};
               });
  }
}

void check_types(Pool& pool) {
  check_both<int>(pool, [](std::int64_t i) { return i % 3 == 0; }); // bool
  check_both<float>(pool, [](std::int64_t i) { return NoDefault(i); });
  check_both<int>(pool, [](std::int64_t i) { return std::to_string(i); });
  check_both<int>(pool, [](std::int64_t i) { return Word{std::to_string(i), 1}; });
  check_both<int>(pool, [](std::int64_t i) {
    return i % 2 == 0 ? std::optional(std::to_string(i)) : std::nullopt;
  });
  check_both<int>(pool, [](std::int64_t i) { return std::tuple(i, std::to_string(i), 0.5); });
  check_both<int>(pool, [](std::int64_t i) { return std::pair(i, i); });
  check_both<int>(pool, [](std::int64_t i) {
    return i % 2 == 0 ? std::variant<std::int64_t, std::string>(i) : "odd";
  });
  check_both<int>(pool, [](std::int64_t i) { return std::array{i, -i}; });
  check_both<int>(pool, [](std::int64_t i) { return static_cast<Int128>(i) << 90; });
  check_both<int>(pool, [](std::int64_t i) { return Odd{{static_cast<unsigned char>(i), 1, 2}}; });
  check_both<int>(pool, [](std::int64_t i) {
    return std::vector<bool>(static_cast<std::size_t>(i % 5), true);
  });
}

void check_inputs(Pool& pool) {
  std::vector<std::string> texts;
  std::vector<Word> words;
  std::vector<std::tuple<int, std::string>> pairs;
  for (int i = 0; i < 300; ++i) {
    texts.emplace_back(static_cast<std::size_t>(i), 'a');
    words.push_back({std::to_string(i), i});
    pairs.emplace_back(i, std::to_string(i));
  }
  expect_all(pool, pool.map([](const std::string& s) { return s + "b"; }, at_root(pool, texts)),
             300,
             [](std::int64_t i) { return std::string(static_cast<std::size_t>(i), 'a') + "b"; });
  expect_all(pool, pool.map([](const Word& w) { return w.text.size(); }, at_root(pool, words)), 300,
             [](std::int64_t i) { return std::to_string(i).size(); });
  expect_all(pool,
             pool.starmap([](int i, const std::string& s) { return s + std::to_string(i); },
                          at_root(pool, pairs)),
             300, [](std::int64_t i) { return std::to_string(i) + std::to_string(i); });
  expect_all(pool,
             pool.starmap([](int i, const std::string&, Worker& w) { return i * (w.rank() >= 0); },
                          at_root(pool, pairs)),
             300, [](std::int64_t i) { return i; });
  // What the other ranks pass is never read.
  const std::vector<int> decoy(pool.is_root() ? 10 : 99, pool.is_root() ? 1 : -1);
  expect_all(pool, pool.map([](int x) { return x; }, decoy), 10, [](std::int64_t) { return 1; });
}

void check_alignment(Pool& pool) {
  std::vector<Wide> wides(pool.is_root() ? 500 : 0, Wide{{1, 2, 3, 4, 5, 6, 7, 8}});
  const auto aligned = pool.map(
      [](const Wide& wide) { return std::bit_cast<std::uintptr_t>(&wide) % alignof(Wide) == 0; },
      wides);
  EXPECT_EQ(std::ranges::count(aligned, false), 0);
}

struct Step {
  int worker;
  int rank;
  int thread;
  int number; // how manieth task of this worker
};

void check_workers(Pool& pool) {
  std::map<int, std::vector<int>> numbers_of;
  for (int call = 0; call < 2; ++call) {
    const auto steps = pool.map(
        [](std::int64_t, Worker& worker) {
          return Step{worker.index(), worker.rank(), worker.thread(), ++worker.local<int>(0)};
        },
        500);
    for (const Step& step : steps) {
      EXPECT_LT(step.worker, pool.workers());
      EXPECT_LT(step.rank, pool.comm().size());
      numbers_of[step.worker].push_back(step.number);
    }
  }
  // Each worker has one state of its own, kept from call to call: 1, 2, 3 ...
  for (auto& [worker, seen] : numbers_of) {
    std::ranges::sort(seen);
    std::vector<int> expected(seen.size());
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(seen, expected) << "worker " << worker;
  }
  if (pool.is_root() && ChunkSequence(500, 1, pool.options().schedule).is_static()) {
    // Promise 3: every core computes.
    EXPECT_EQ(std::ssize(numbers_of), pool.workers());
  }
}

/// Whether all workers draw from one list, where a call has one.
bool draws(const Pool& pool) {
  return pool.comm().nodes() > 1 || pool.data_path() != "messages";
}

/// With a hint of cost, on one node or several, nobody computes another task before the dearest.
void check_hints(Pool& pool) {
  struct Begun {
    int tasks = 0;
  };
  const auto number = [](std::int64_t, Worker& worker) { return ++worker.local<Begun>().tasks; };
  const auto cost = [](std::int64_t i) { return i == 90 ? 1e6 : 1.0; };
  const auto numbers =
      pool.map(number, 100, {.schedule = Schedule::parse("dynamic"), .cost = cost});
  if (pool.is_root() && draws(pool)) {
    EXPECT_EQ(numbers[90], 1);
  }
}

/// Whether the worker of this task has begun with it, or with tasks just before it: with its chunk.
bool begins_a_worker(const std::vector<Step>& steps, std::size_t task) {
  const Step& own = steps[task];
  const auto before = static_cast<std::size_t>(own.number - 1);
  if (before >= task)
    return false; // it is in the first chunk of all
  for (std::size_t i = 1; i <= before; ++i)
    if (steps[task - i].worker != own.worker ||
        std::cmp_not_equal(steps[task - i].number, before + 1 - i))
      return false;
  return true;
}

/// A chunk that takes long is drawn first the next time, until it no longer does.
void check_experience(Pool& pool) {
  struct Begun {
    int call = 0;
    int tasks = 0;
  };
  int call = 0;
  const auto drawn_first = [&](bool long_one) {
    ++call;
    const auto task = [call, long_one](std::int64_t i, Worker& worker) {
      Begun& begun = worker.local<Begun>();
      begun = {call, begun.call == call ? begun.tasks + 1 : 1};
      if (i == 90 && long_one)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return Step{worker.index(), worker.rank(), worker.thread(), begun.tasks};
    };
    const auto steps = pool.map(task, 100, {.schedule = Schedule()});
    return pool.from_root([&] { return begins_a_worker(steps, 90); });
  };
  // At once on an idle machine. On a busy one, what is drawn first is often made long by those who
  // wake then, and so is drawn first again.
  const auto comes = [&](bool long_one) {
    for (int tries = 0; tries < (draws(pool) ? 300 : 1); ++tries)
      if (drawn_first(long_one) == long_one)
        return true;
    return false;
  };
  (void)drawn_first(true);
  EXPECT_TRUE(comes(true) || !draws(pool));
  (void)drawn_first(false); // by the list of the call before
  EXPECT_TRUE(comes(false) || !draws(pool));
}

/// Options of a call change who computes what and when, never the results.
void check_options(Pool& pool) {
  const auto f = [](std::int64_t i) { return 3 * i; };
  const auto text = [](const std::string& s) { return s + "!"; };
  const auto cost = [](std::int64_t i) { return i == 40 ? 1000.0 : static_cast<double>(i); };
  for (const char* schedule : {"block", "cyclic,3", "dynamic,5", "guided", "auto"}) {
    const CallOptions options{.schedule = Schedule::parse(schedule), .cost = cost};
    expect_all(pool, pool.map(f, 100, options), 100, f);
    const auto words = at_root(pool, std::vector<std::string>(100, "word"));
    expect_all(pool, pool.map(text, words, options), 100,
               [](std::int64_t) { return std::string("word!"); });
  }
  // Nor does what the last calls have taken.
  const auto slow = [](std::int64_t i) {
    if (i == 90)
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    return 3 * i;
  };
  for (int call = 0; call < 3; ++call)
    expect_all(pool, pool.map(slow, 100, {.schedule = Schedule()}), 100, f);
  // A task is tried again with the same random numbers.
  const auto second_time = [](std::int64_t i, Worker& worker) {
    const std::uint64_t number = worker.random()();
    auto& seen = worker.local<std::map<std::int64_t, std::uint64_t>>();
    const auto [before, first] = seen.try_emplace(i, number);
    if (first)
      throw std::runtime_error("at first I throw");
    return before->second == number;
  };
  expect_all(pool, pool.map(second_time, 50, {.retries = 1}), 50,
             [](std::int64_t) { return true; });
  // As often as asked for, and no more.
  const auto never = [](std::int64_t i, Worker& worker) -> std::int64_t {
    const int tries = worker.local<std::map<std::int64_t, int>>()[i]++;
    throw std::runtime_error("try " + std::to_string(tries % 3 + 1));
  };
  const auto outcome = pool.map_collect(never, 10, {.retries = 2});
  EXPECT_EQ(outcome.failures.size(), 10U);
  for (const TaskFailure& failure : outcome.failures)
    EXPECT_EQ(failure.what, "try 3");
}

void check_streams(Pool& pool) {
  for (const std::int64_t n : {0, 1, 1000})
    for (const std::int64_t most : {1, 7, 100'000}) {
      if (n * pool.workers() / most > 2000)
        continue;
      std::int64_t next = 0;
      std::vector<std::int64_t> got;
      const auto count = pool.stream([](const std::string& s) { return std::stoll(s) * 2; },
                                     [&]() -> std::optional<std::string> {
                                       EXPECT_LT(next - std::ssize(got), most) << "in flight";
                                       if (next == n)
                                         return std::nullopt;
                                       return std::to_string(next++);
                                     },
                                     [&](std::int64_t index, std::int64_t result) {
                                       EXPECT_EQ(index, std::ssize(got));
                                       got.push_back(result);
                                     },
                                     most);
      EXPECT_EQ(count, n);
      expect_all(pool, got, n, [](std::int64_t i) { return 2 * i; });
    }
}

/// What has come is not held back until many more have.
void check_slow_streams(Pool& pool) {
  if (pool.options().schedule.text() != Schedule().text())
    return;                  // it takes a while, and chunks have no part in it
  constexpr int fast = 2000; // batches grow meanwhile
  constexpr int all = fast + 6;
  int next = 0;
  int done = 0;
  const auto source = [&]() -> std::optional<int> {
    EXPECT_LE(next - std::max(done, fast), 2) << "inputs that wait";
    if (next == all)
      return std::nullopt;
    if (next >= fast)
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    return next++;
  };
  EXPECT_EQ(pool.stream([](int i) { return i; }, source, [&](std::int64_t, int) { ++done; }), all);
}

void check_views(Pool& pool) {
  for (const std::int64_t n : {0, 1, 5, 20'000}) {
    const auto input = numbers<int>(pool, n);
    const std::span<const int> view = pool.map_view([](int x) { return 3 * x; }, input);
    const bool sees = pool.comm().nodes() == 1 || pool.is_root();
    EXPECT_EQ(std::ssize(view), sees ? n : 0);
    bool right = true;
    for (std::int64_t i = 0; i < std::ssize(view); ++i)
      right = right && view[static_cast<std::size_t>(i)] == 3 * i;
    EXPECT_TRUE(right);
  }
}

} // namespace

void check_maps(Pool& pool) {
  check_sizes(pool);
  check_recycling(pool);
  check_types(pool);
  check_inputs(pool);
  check_alignment(pool);
  check_workers(pool);
  check_options(pool);
  check_hints(pool);
  check_experience(pool);
  check_streams(pool);
  check_slow_streams(pool);
  check_views(pool);
  EXPECT_THROW((void)pool.map([](std::int64_t i) { return i; }, -1), Error);
}

} // namespace cleave::testing
