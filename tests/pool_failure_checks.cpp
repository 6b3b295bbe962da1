#include "cleave/executor.hpp"
#include "pool_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <new>
#include <thread>
#include <variant>

namespace cleave::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What `call` throws as MapError, checked to be the same on every rank.
template <class Call>
std::vector<TaskFailure> failures_of(Pool& pool, Call call) {
  std::vector<TaskFailure> failures;
  std::string what = "nothing was thrown";
  try {
    call();
  } catch (const MapError& error) {
    failures = error.failures();
    what = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::failed_task);
  } catch (const std::exception& error) {
    what = std::string("not a MapError: ") + error.what();
  } catch (...) {
    what = "not a MapError";
  }
  EXPECT_FALSE(failures.empty()) << what;
  for (const std::string& text : pool.comm().all_gather(what))
    EXPECT_EQ(text, what);
  for (const TaskFailure& failure : failures) {
    EXPECT_LT(failure.rank, pool.comm().size());
    EXPECT_EQ(failure.host, pool.comm().host_of(failure.rank));
  }
  EXPECT_TRUE(std::ranges::is_sorted(failures, {}, &TaskFailure::task));
  // The Pool goes on as if nothing had been.
  EXPECT_EQ(pool.map_reduce([](std::int64_t i) { return i; }, 50, std::plus<>(), std::int64_t{0}),
            1225);
  return failures;
}

void expect_one(const std::vector<TaskFailure>& failures, std::int64_t task,
                const std::string& type, const std::string& what) {
  EXPECT_EQ(failures.size(), 1U);
  if (failures.empty())
    return;
  EXPECT_EQ(failures.front().task, task);
  EXPECT_THAT(failures.front().type, HasSubstr(type));
  EXPECT_THAT(failures.front().what, HasSubstr(what));
}

struct Foreign {}; // no std::exception

/// Throws for one input, as `how` says.
std::int64_t fail_at(std::int64_t task, std::int64_t i, int how) {
  if (i != task)
    return i;
  if (how == 0)
    throw std::runtime_error("task says no");
  if (how == 1)
    throw 42;
  if (how == 2)
    throw std::bad_alloc();
  throw Foreign();
}

void check_types(Pool& pool) {
  const std::array<std::pair<const char*, const char*>, 4> expected = {
      {{"std::runtime_error", "task says no"},
       {"int", ""},
       {"std::bad_alloc", "bad_alloc"},
       {"Foreign", ""}}};
  const auto words = [](std::int64_t n) {
    std::vector<std::string> all;
    for (std::int64_t i = 0; i < n; ++i)
      all.push_back(std::to_string(i));
    return all;
  };
  for (int how = 0; how < 4; ++how)
    for (const std::int64_t task : {0, 77, 199}) {
      const auto [type, what] = expected.at(static_cast<std::size_t>(how));
      const auto f = [=](std::int64_t i) { return fail_at(task, i, how); };
      expect_one(failures_of(pool, [&] { (void)pool.map(f, 200); }), task, type, what);
      expect_one(failures_of(pool, [&] { (void)pool.map(f, numbers<int>(pool, 200)); }), task, type,
                 what);
      const auto by_text = [f](const std::string& s) { return std::to_string(f(std::stoi(s))); };
      expect_one(failures_of(pool, [&] { (void)pool.map(by_text, at_root(pool, words(200))); }),
                 task, type, what);
      for (const LeafOptions options : {LeafOptions{}, LeafOptions{30, 65'536}})
        expect_one(failures_of(pool,
                               [&] {
                                 (void)pool.map_reduce(f, 200, std::plus<>(), std::int64_t{0},
                                                       options);
                               }),
                   task, type, what);
    }
}

void check_verbs(Pool& pool) {
  const LeafOptions tens{10, 65'536};
  const auto in_leaf = [](TaskRange leaf) {
    if (leaf.first == 50)
      throw std::runtime_error("leaf says no");
    return leaf.size();
  };
  expect_one(failures_of(pool,
                         [&] {
                           (void)pool.reduce_ranges(in_leaf, 200, std::plus<>(), std::int64_t{0},
                                                    tens);
                         }),
             50, "runtime_error", "leaf says no");
  expect_one(failures_of(pool,
                         [&] {
                           (void)pool.map_bands<int>(
                               [](TaskRange rows, TaskRange, std::span<const int>, std::span<int>,
                                  Worker&) {
                                 if (rows.first == 12)
                                   throw std::runtime_error("band says no");
                               },
                               numbers<int>(pool, 40), {20, 2, 3, 1, 4});
                         }),
             12, "runtime_error", "band says no");
  std::vector<std::tuple<int, int>> pairs(9, {1, 1});
  pairs[5] = {1, 0};
  expect_one(failures_of(pool,
                         [&] {
                           (void)pool.starmap(
                               [](int a, int b) {
                                 if (b == 0)
                                   throw std::domain_error("division by zero");
                                 return a / b;
                               },
                               at_root(pool, pairs));
                         }),
             5, "domain_error", "division by zero");
  const Distributed<int> parts = pool.scatter(numbers<int>(pool, 100), tens);
  expect_one(
      failures_of(pool, [&] { (void)pool.map([](int x) { return fail_at(33, x, 0); }, parts); }),
      33, "runtime_error", "task says no");
  expect_one(failures_of(pool,
                         [&] {
                           (void)pool.map_reduce([](int x) { return fail_at(34, x, 0); }, parts,
                                                 std::plus<>(), std::int64_t{0});
                         }),
             34, "runtime_error", "task says no");
  expect_one(failures_of(pool,
                         [&] {
                           (void)pool.reduce_ranges(
                               [&](TaskRange leaf, std::span<const int>) { return in_leaf(leaf); },
                               parts, std::plus<>(), std::int64_t{0});
                         }),
             50, "runtime_error", "leaf says no");
}

/// An operation that throws once the partial sum is `limit` or more: among the tasks of a leaf,
/// among the leaves of a worker, or when the ranks' parts meet, as the limit has it.
void check_operations(Pool& pool) {
  for (const std::int64_t limit : {1, 20, 50, 100, 150, 200})
    for (const LeafOptions options : {LeafOptions{1, 65'536}, LeafOptions{40, 65'536}}) {
      SCOPED_TRACE(limit);
      const auto op = [limit](std::int64_t a, std::int64_t b) {
        if (a + b >= limit)
          throw std::overflow_error("too much");
        return a + b;
      };
      const auto one = [](std::int64_t) { return std::int64_t{1}; };
      const auto failures =
          failures_of(pool, [&] { (void)pool.map_reduce(one, 200, op, std::int64_t{0}, options); });
      for (const TaskFailure& failure : failures) {
        EXPECT_THAT(failure.type, HasSubstr("overflow_error"));
        EXPECT_GE(failure.task, -1); // where the parts of ranks meet, it is no task
        EXPECT_LT(failure.task, 200);
      }
    }
}

void check_many(Pool& pool) {
  // Every task; at least one is told, and nobody hangs.
  const auto always = [](std::int64_t i) -> int {
    throw std::runtime_error("task " + std::to_string(i));
  };
  for (const TaskFailure& failure : failures_of(pool, [&] { (void)pool.map(always, 1000); }))
    EXPECT_EQ(failure.what, "task " + std::to_string(failure.task));
  // One rank alone, and one thread alone.
  const int last = pool.comm().size() - 1;
  for (const TaskFailure& failure : failures_of(pool, [&] {
         (void)pool.map(
             [last](std::int64_t i, Worker& worker) {
               if (worker.rank() == last)
                 throw std::runtime_error("not here");
               std::this_thread::sleep_for(std::chrono::milliseconds(1)); // work left for the last
               return i;
             },
             1000);
       }))
    EXPECT_EQ(failure.rank, last);
  // A long text is kept whole.
  const std::string novel(100'000, 'n');
  const auto told = failures_of(
      pool, [&] { (void)pool.map([&](int) -> int { throw std::runtime_error(novel); }, 3); });
  EXPECT_EQ(told.front().what, novel);
}

void check_stop(Pool& pool) {
  // A long task hears that another has failed: only the last worker's tasks fail.
  if (pool.workers() == 1)
    return;
  const int last = pool.workers() - 1;
  const auto failures = failures_of(pool, [&] {
    (void)pool.map(
        [last](std::int64_t i, Worker& worker) {
          if (worker.index() == last)
            throw std::runtime_error("stop");
          for (int ms = 0; ms < 10 && !worker.stop_requested(); ++ms)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return i;
        },
        8 * pool.workers()); // a chunk of 7 for each at least
  });
  for (const TaskFailure& failure : failures)
    EXPECT_EQ(failure.what, "stop");
}

/// A task that waits until its time is over fails in every call, whatever it does then; the others
/// do not.
void check_timeouts(Pool& pool) {
  PoolOptions options = pool.options();
  if (options.schedule.text() != Schedule().text())
    return; // it takes a while, and chunks have no part in it
  options.timeout = std::chrono::milliseconds(100);
  Pool timed(pool.comm(), options);
  const auto late_at = [](std::int64_t task, std::int64_t i, const Worker& worker) {
    while (i == task && !worker.stop_requested())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return i;
  };
  const auto late = [=](std::int64_t i, Worker& worker) { return late_at(7, i, worker); };
  const auto expect_late = [&](auto call) {
    expect_one(failures_of(timed, call), 7, "TimedOut", "timed out after 0.1 s");
  };
  expect_late([&] { (void)timed.map(late, 20); });
  expect_late([&] { (void)timed.map(late, timed.scatter(numbers<std::int64_t>(timed, 20))); });
  expect_late([&] { (void)timed.map_reduce(late, 20, std::plus<>(), std::int64_t{0}); });
  expect_late([&] {
    (void)timed.reduce_ranges(
        [=](TaskRange leaf, Worker& worker) { return late_at(7, leaf.first, worker); }, 20,
        std::plus<>(), std::int64_t{0});
  });
  expect_late([&] {
    (void)timed.map_bands<int>(
        [=](TaskRange rows, TaskRange, std::span<const int>, std::span<int>, Worker& worker) {
          if (late_at(7, rows.first, worker) == 7)
            throw std::runtime_error("stopped");
        },
        numbers<int>(timed, 40), {20, 2, 3, 1, 1});
  });
  EXPECT_EQ(timed.map_collect(late, 20).failures.size(), 1U);
  // A call may say otherwise.
  const auto slow = [](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i == 3 ? 150 : 0));
    return i;
  };
  EXPECT_EQ(timed.map_collect(slow, 10, {.timeout = std::chrono::seconds(0)}).failures.size(), 0U);
}

template <class R, class Expected>
void expect_outcome(const Pool& pool, const Outcome<R>& outcome, std::int64_t n,
                    Expected expected) {
  std::vector<std::int64_t> failed;
  for (const TaskFailure& failure : outcome.failures)
    failed.push_back(failure.task);
  std::vector<std::int64_t> all;
  for (std::int64_t i = 3; i < n; i += 10)
    all.push_back(i);
  EXPECT_EQ(failed, all);
  EXPECT_EQ(std::ssize(outcome.results), pool.is_root() ? n : 0);
  for (std::int64_t i = 0; i < std::ssize(outcome.results); ++i) {
    const std::optional<R>& result = outcome.results[static_cast<std::size_t>(i)];
    EXPECT_EQ(result.has_value(), i % 10 != 3) << i;
    EXPECT_TRUE(!result || *result == expected(i)) << i;
  }
}

void check_collect(Pool& pool) {
  const auto checked = [](std::int64_t i) {
    if (i % 10 == 3)
      throw std::runtime_error("three");
    return i;
  };
  const auto text = [checked](std::int64_t i) { return std::to_string(checked(i)); };
  const auto is_even = [checked](std::int64_t i) { return checked(i) % 2 == 0; };
  for (const std::int64_t n : {0, 1, 4, 500}) {
    expect_outcome(pool, pool.map_collect(checked, n), n, [](std::int64_t i) { return i; });
    expect_outcome(pool, pool.map_collect(text, n), n,
                   [](std::int64_t i) { return std::to_string(i); });
    expect_outcome(pool, pool.map_collect(is_even, n), n,
                   [](std::int64_t i) { return i % 2 == 0; });
    expect_outcome(pool, pool.map_collect([=](int i) { return checked(i); }, numbers<int>(pool, n)),
                   n, [](std::int64_t i) { return i; });
  }
  // Tasks that ask whether to stop go on: this call has no reason to.
  const auto stops = pool.map_collect(
      [checked](std::int64_t i, Worker& worker) {
        return checked(i) >= 0 && worker.stop_requested();
      },
      500);
  for (const std::optional<bool>& stop : stops.results)
    EXPECT_FALSE(stop.value_or(false));
}

/// Archived by one rank, refused by those that read it.
struct OneWay {
  template <class Archive>
  void serialize(Archive&, unsigned) {
    if (Archive::is_loading::value)
      throw std::runtime_error("cannot be read");
  }
  std::string text = "so that it is not flat";
};

/// Refused by the rank that archives it.
struct NoWay {
  template <class Archive>
  void serialize(Archive&, unsigned) {
    throw std::runtime_error("cannot be archived");
  }
  std::string text = "so that it is not flat";
};

void check_classes(Pool& pool) {
  if (pool.comm().size() == 1)
    return; // nothing travels
  std::string what;
  try {
    (void)pool.from_root([] { return OneWay(); });
  } catch (const Error& error) {
    what = error.what();
  }
  EXPECT_THAT(what, AllOf(HasSubstr("rank 1"), HasSubstr("cannot be read")));
  const auto failures = failures_of(pool, [&] {
    (void)pool.map_collect(
        [](std::int64_t, Worker& worker) {
          if (worker.rank() == 0) // so that the others get tasks
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
          return NoWay();
        },
        100);
  });
  EXPECT_THAT(failures.empty() ? "" : failures.front().what, HasSubstr("cannot be archived"));
}

void check_empty_types(Pool& pool) {
  const std::vector<std::monostate> none(pool.is_root() ? 100 : 0);
  const auto same = [](std::monostate nothing) { return nothing; };
  EXPECT_EQ(pool.map(same, none).size(), none.size());
  const Distributed<std::monostate> spread = pool.scatter(none);
  EXPECT_EQ(pool.gather(pool.map(same, spread)).size(), none.size());
}

/// Others could not join in, and the call that runs the task is not over.
void check_calls_in_tasks(Pool& pool) {
  const std::array<std::function<void()>, 4> calls = {
      [&pool] { (void)pool.map([](std::int64_t i) { return i; }, 5); },
      [&pool] { pool.from_root([] {}); }, [&pool] { pool.comm().barrier(); },
      [&pool] { Executor::run(pool, [](Executor&) {}); }};
  for (const auto& call : calls) {
    const auto task = [&call](std::int64_t i) { return call(), i; };
    for (const TaskFailure& failure : failures_of(pool, [&] { (void)pool.map(task, 20); }))
      EXPECT_THAT(failure.what, HasSubstr("a task runs"));
  }
}

} // namespace

void check_failures(Pool& pool) {
  check_types(pool);
  check_verbs(pool);
  check_operations(pool);
  check_many(pool);
  check_stop(pool);
  check_timeouts(pool);
  check_collect(pool);
  check_classes(pool);
  check_empty_types(pool);
  check_calls_in_tasks(pool);
}

} // namespace cleave::testing
