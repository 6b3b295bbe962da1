#include "executor_checks.hpp"

#include <boost/serialization/string.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace cleave::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

} // namespace

// Tasks: functions that all ranks know by name.
namespace tasks {

std::int64_t dies() { // where it must not run
  std::abort();
}
std::int64_t square(std::int64_t i) {
  return i * i;
}

void nothing() {}

std::int64_t after(std::int64_t milliseconds, std::int64_t value) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return value;
}

std::tuple<int, int, int> place(Worker& worker) {
  return {worker.rank(), worker.thread(), worker.index()};
}

std::uint64_t dice(int, const Worker&) = delete; // an overload
std::uint64_t dice(int sides, Worker& worker) {
  auto random = worker.random();
  return 1 + random() % static_cast<std::uint64_t>(sides);
}

/// When a task began and ended, in ns of the machine's clock.
std::pair<std::int64_t, std::int64_t> nap(int milliseconds) {
  const auto now = [] {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  const std::int64_t begin = now();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return {begin, now()};
}

/// A user's class, archived by Boost.Serialization; it refuses some values at some moments.
struct Word {
  std::string text;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if constexpr (Archive::is_saving::value)
      if (text == "refuses to be saved")
        throw std::domain_error("this word is not for saving");
    archive& text;
    if constexpr (Archive::is_loading::value)
      if (text == "refuses to be loaded")
        throw std::domain_error("this word is not for loading");
  }
  friend bool operator==(const Word&, const Word&) = default;
};

using Nested = std::tuple<std::optional<Word>, std::map<std::string, std::vector<double>>>;

Nested nested(const Nested& value, std::vector<Word> words) {
  Nested result = value;
  std::get<0>(result) = words.empty() ? std::nullopt : std::optional(words.back());
  std::get<1>(result)["more"] = {1, 2, 3};
  return result;
}

Word word(const std::string& text) {
  return {text};
}

std::size_t length(const Word& word) noexcept {
  return word.text.size();
}

std::int64_t overloaded(std::int64_t) {
  return 1;
}
std::int64_t overloaded(const std::string&) {
  return 2;
}

std::vector<std::uint8_t> doubled(std::vector<std::uint8_t>&& bytes) {
  for (std::uint8_t& byte : bytes)
    byte = static_cast<std::uint8_t>(2 * byte);
  return std::move(bytes);
}

std::int64_t at_most(std::int64_t i, std::int64_t most) {
  if (i > most)
    throw std::out_of_range("no such row");
  return i;
}

void throws_a_number() {
  throw 7;
}

/// It has nothing to say, not even an empty text.
struct Mute : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
void throws_mutely() {
  throw Mute();
}

std::uint64_t any_number(Worker& worker) {
  return worker.random()();
}

} // namespace tasks

namespace {

std::string thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

/// Tasks that keep every worker of the job busy, and what each worker can have waiting beside.
std::vector<Future<std::int64_t>> hold_all_workers(Executor& e, std::int64_t milliseconds) {
  std::vector<Future<std::int64_t>> held;
  for (int i = 0; i < 2 * e.workers(); ++i)
    held.push_back(e.submit<&tasks::after>(TaskOptions{.priority = 1000}, milliseconds, -1));
  return held;
}

} // namespace

void check_futures(Pool& pool) {
  Executor::run(pool, [&pool](Executor& e) {
    EXPECT_EQ(e.workers(), pool.workers());
    const auto one = e.submit<&tasks::square>(12);
    EXPECT_EQ(one.task(), 0);
    EXPECT_EQ(one.get(), 144);
    EXPECT_EQ(one.get(), 144);
    EXPECT_TRUE(one.ready());
    EXPECT_FALSE(one.cancel());
    e.submit<&tasks::nothing>().get();
    EXPECT_TRUE(e.submit<&tasks::nothing>().get_for(10s));

    std::vector<std::int64_t> inputs(1000);
    std::iota(inputs.begin(), inputs.end(), 0);
    const auto squares = e.map<&tasks::square>(inputs);
    for (const std::int64_t i : inputs) // in order
      EXPECT_EQ(squares[static_cast<std::size_t>(i)].get(), i * i);
    const auto again = e.map<&tasks::square>(inputs);
    for (std::size_t i = again.size(); i-- > 0;) // the last first
      EXPECT_EQ(again[i].get(), static_cast<std::int64_t>(i * i));

    std::set<std::int64_t> seen;
    for (const Future<std::int64_t>& future : as_completed(e.map<&tasks::square>(inputs))) {
      EXPECT_TRUE(future.ready());
      seen.insert(future.get());
    }
    EXPECT_EQ(seen.size(), inputs.size());
    std::int64_t sum = 0;
    as_completed(squares, [&sum](const auto& future) { sum += future.get(); });
    EXPECT_EQ(sum, 332833500);
    EXPECT_TRUE(as_completed(std::vector<Future<std::int64_t>>()).begin() == std::default_sentinel);
  });
}

namespace {

void check_waits(Pool& pool) {
  Executor::run(pool, [](Executor& e) {
    std::vector<Future<std::int64_t>> futures;
    EXPECT_TRUE(wait(futures));
    EXPECT_FALSE(wait(futures, Until::any, 1ms));
    const auto slow = e.submit<&tasks::after>(100, 1);
    EXPECT_FALSE(slow.get_for(1ms).has_value());
    EXPECT_FALSE(slow.ready());
    futures = {slow};
    EXPECT_FALSE(wait(futures, Until::all, 1ms));
    EXPECT_FALSE(wait(futures, Until::any, 1ms));
    EXPECT_EQ(slow.get_for(60s), 1);
    futures.push_back(e.submit<&tasks::after>(50, 2));
    EXPECT_TRUE(wait(futures, Until::any));
    EXPECT_TRUE(wait(futures, Until::all));
    EXPECT_TRUE(futures.back().ready());
    for (int round = 0; round < 3; ++round) { // forgets what it does not wait for any longer
      futures = {e.submit<&tasks::after>(1, 3), e.submit<&tasks::after>(50, 4)};
      EXPECT_TRUE(wait(futures, Until::any));
    }
  });
}

} // namespace

void check_task_types(Pool& pool) {
  Executor::run(pool, [&pool](Executor& e) {
    const tasks::Nested value = {std::nullopt, {{"a", {0.5}}, {"b", {}}}};
    const tasks::Nested result =
        e.submit<&tasks::nested>(value, std::vector<tasks::Word>{{"x"}, {"y"}}).get();
    EXPECT_EQ(std::get<0>(result), tasks::Word{"y"});
    EXPECT_EQ(std::get<1>(result).size(), 3U);
    EXPECT_EQ(e.submit<&tasks::word>("a literal").get(), tasks::Word{"a literal"});
    EXPECT_EQ(e.submit<&tasks::length>(tasks::Word{"four"}).get(), 4U);
    using Numbers = std::int64_t (*)(std::int64_t);
    using Texts = std::int64_t (*)(const std::string&);
    EXPECT_EQ(e.submit<static_cast<Numbers>(&tasks::overloaded)>(1).get(), 1);
    EXPECT_EQ(e.submit<static_cast<Texts>(&tasks::overloaded)>("1").get(), 2);
    EXPECT_LE(e.submit<static_cast<std::uint64_t (*)(int, Worker&)>(&tasks::dice)>(6).get(), 6U);

    std::set<int> ranks;
    for (int i = 0; i < 50; ++i) {
      const auto [rank, thread, index] = e.submit<&tasks::place>().get();
      EXPECT_LT(rank, pool.comm().size());
      EXPECT_LT(thread, pool.layout().ranks()[static_cast<std::size_t>(rank)].threads);
      EXPECT_LT(index, pool.workers());
      ranks.insert(rank);
    }
    if (pool.comm().size() > 1) {
      EXPECT_THAT(ranks, ::testing::ElementsAre(1)); // who has answered last may be awake yet
    }
  });
}

void check_large_tasks(Pool& pool, std::int64_t mebibytes) {
  Executor::run(pool, [&](Executor& e) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(mebibytes) << 20);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(i % 251);
    std::vector<std::uint8_t> wanted = bytes;
    wanted = tasks::doubled(std::move(wanted));
    std::vector<Future<std::vector<std::uint8_t>>> futures;
    for (int i = 0; i < 3 + e.workers(); ++i)
      futures.push_back(e.submit<&tasks::doubled>(bytes));
    const auto small = e.submit<&tasks::square>(3); // behind them, in the same rings
    for (const auto& future : futures)
      EXPECT_TRUE(future.get() == wanted);
    EXPECT_EQ(small.get(), 9);
  });
}

void check_queue(Pool& pool) {
  Executor::run(pool, [](Executor& e) {
    const auto held = hold_all_workers(e, 100);
    const auto cancelled = e.submit<&tasks::dies>();
    EXPECT_TRUE(cancelled.cancel());
    EXPECT_FALSE(cancelled.cancel());
    EXPECT_TRUE(cancelled.ready());
    EXPECT_EQ(thrown_by([&] { cancelled.get(); }),
              "task " + std::to_string(cancelled.task()) + " was cancelled");
    EXPECT_TRUE(wait(held));
    EXPECT_FALSE(held.front().cancel());
    EXPECT_EQ(held.front().get(), -1);
  });
  if (pool.workers() > 1)
    return;
  Executor::run(pool, [](Executor& e) {
    const auto held = e.submit<&tasks::after>(100, 0);
    std::vector<Future<std::int64_t>> futures;
    std::vector<std::int64_t> order;
    for (const int priority : {0, 5, -5, 5, 0})
      futures.push_back(e.submit<&tasks::square>(TaskOptions{priority}, priority));
    const std::int64_t first = futures.front().task();
    for (const auto& future : as_completed(futures))
      order.push_back(future.task() - first);
    EXPECT_THAT(order, ElementsAre(1, 3, 0, 4, 2));
  });
}

void check_task_failures(Pool& pool) {
  Executor::run(pool, [&pool](Executor& e) {
    const auto fails = e.submit<&tasks::at_most>(5, 4);
    try {
      fails.get();
      ADD_FAILURE() << "a task that throws must fail";
    } catch (const MapError& error) {
      const TaskFailure& failure = error.failures().at(0);
      EXPECT_EQ(failure.task, fails.task());
      EXPECT_EQ(failure.host, pool.comm().host_of(failure.rank));
      EXPECT_EQ(failure.type, "std::out_of_range");
      EXPECT_EQ(failure.what, "no such row");
    }
    EXPECT_EQ(thrown_by([&] { fails.get(); }), thrown_by([&] { (void)fails.get_for(1s); }));
    EXPECT_THAT(thrown_by([&] { e.submit<&tasks::throws_a_number>().get(); }), HasSubstr("): int"));
    EXPECT_THAT(thrown_by([&] { e.submit<&tasks::throws_mutely>().get(); }),
                HasSubstr("): cleave::testing::tasks::Mute"));
    EXPECT_EQ(e.submit<&tasks::at_most>(4, 4).get(), 4);

    const tasks::Word unsaved{"refuses to be saved"};
    const tasks::Word unloaded{"refuses to be loaded"};
    EXPECT_EQ(thrown_by([&] { (void)e.submit<&tasks::length>(unsaved); }),
              "this word is not for saving");
    EXPECT_THAT(thrown_by([&] { e.submit<&tasks::length>(unloaded).get(); }),
                HasSubstr("std::domain_error: this word is not for loading"));
    EXPECT_THAT(thrown_by([&] { e.submit<&tasks::word>(unsaved.text).get(); }),
                HasSubstr("std::domain_error: this word is not for saving"));
    EXPECT_EQ(thrown_by([&] { e.submit<&tasks::word>(unloaded.text).get(); }),
              "this word is not for loading");
    EXPECT_EQ(e.submit<&tasks::length>(tasks::Word{"on"}).get(), 2U);
  });

  // What the function throws leaves on every rank; what it has not got, does not hold it up.
  std::optional<Future<std::int64_t>> never;
  try {
    Executor::run(pool, [&never](Executor& e) {
      const auto held = hold_all_workers(e, 20);
      for (int i = 0; i < 100; ++i)
        never = e.submit<&tasks::after>(200, 0); // few of which may begin
      throw Error(ErrorKind::bad_input, "no such file", {"rows.txt", 3, ""});
    });
    ADD_FAILURE() << "what the function throws must leave";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_STREQ(error.what(), "rows.txt:3: no such file");
  }
  EXPECT_EQ(never.has_value(), pool.is_root());
  if (never) { // outlives its run
    EXPECT_TRUE(never->ready());
    EXPECT_FALSE(never->cancel());
    EXPECT_THAT(thrown_by([&] { never->get(); }), HasSubstr("was cancelled"));
    EXPECT_TRUE(wait(std::vector{*never}, Until::any));
  }
  EXPECT_THAT(thrown_by([&] {
                Executor::run(pool, [](Executor& e) { e.submit<&tasks::at_most>(1, 0).get(); });
              }),
              HasSubstr("std::out_of_range: no such row"));
}

void check_runs(Pool& pool) {
  for (std::int64_t run = 0; run < 3; ++run) {
    std::vector<Future<std::int64_t>> left;
    Executor::run(pool, [&](Executor& e) {
      for (int i = 0; i < 20; ++i)
        left.push_back(e.submit<&tasks::square>(i + run));
    }); // which returns when they are done
    for (std::size_t i = 0; i < left.size(); ++i) {
      EXPECT_TRUE(left[i].ready());
      EXPECT_EQ(left[i].get(),
                (static_cast<std::int64_t>(i) + run) * (static_cast<std::int64_t>(i) + run));
    }
    const auto sum =
        pool.map_reduce([](std::int64_t i) { return i; }, 10, std::plus<>(), std::int64_t{0});
    EXPECT_EQ(sum, 45);
    Executor::run(pool, [](Executor&) {}); // nothing to do
  }
}

std::vector<std::uint64_t> random_numbers(Pool& pool) {
  std::vector<std::uint64_t> numbers;
  for (int run = 0; run < 2; ++run)
    Executor::run(pool, [&numbers](Executor& e) {
      for (int i = 0; i < 10; ++i)
        numbers.push_back(e.submit<&tasks::any_number>().get());
    });
  return numbers;
}

namespace {

/// The share of their time in which workers are at work on naps that root submits, and gets after
/// it has been busy with something else.
double share_at_work(Executor& e, const std::function<void()>& something_else) {
  const std::vector<int> naps(static_cast<std::size_t>(100 * e.workers()), 10);
  const auto futures = e.map<&tasks::nap>(naps);
  something_else();
  std::int64_t busy_ns = 0;
  std::int64_t first_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t last_ns = 0;
  for (const auto& future : futures) {
    const auto [begin_ns, end_ns] = future.get();
    busy_ns += end_ns - begin_ns;
    first_ns = std::min(first_ns, begin_ns);
    last_ns = std::max(last_ns, end_ns);
  }
  return static_cast<double>(busy_ns) / static_cast<double>((last_ns - first_ns) * e.workers());
}

} // namespace

void check_workers_stay_busy(Pool& pool, const std::function<void()>& something_else) {
  Executor::run(pool, [&something_else](Executor& e) {
    double best = 0; // other load on the machine only takes from the share
    for (int time = 0; time < 10 && best <= 0.95; ++time)
      best = std::max(best, share_at_work(e, something_else));
    EXPECT_GT(best, 0.95);
  });
}

void wait_for_a_sleeping_task(Executor& e, std::chrono::milliseconds length) {
  e.submit<&tasks::after>(length.count(), 0).get();
}

void check_executor(Pool& pool, std::int64_t mebibytes) {
  check_futures(pool);
  check_waits(pool);
  check_task_types(pool);
  check_large_tasks(pool, mebibytes);
  check_queue(pool);
  check_task_failures(pool);
  check_task_timeouts(pool);
  check_task_times(pool);
  check_unordered(pool);
  check_runs(pool);
}

} // namespace cleave::testing
