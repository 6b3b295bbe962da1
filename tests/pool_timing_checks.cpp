#include "pool_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

namespace cleave::testing {
namespace {

using Draws = std::vector<std::array<double, 2>>;

/// Two calls of 100 tasks with two numbers each, then a reduction.
Draws draw(Pool& pool) {
  const auto two = [](std::int64_t, Worker& worker) {
    RandomStream stream = worker.random();
    const double first = stream.uniform();
    return std::array{first, stream.uniform()};
  };
  Draws all = pool.map(two, 100);
  std::ranges::copy(pool.map(two, 100), std::back_inserter(all));
  std::ranges::copy(
      pool.map([two](int i, Worker& worker) { return two(i, worker); }, numbers<int>(pool, 100)),
      std::back_inserter(all));
  const double sum =
      pool.map_reduce([](std::int64_t, Worker& worker) { return worker.random().uniform(); }, 100,
                      std::plus<>(), 0.0, {7, 65'536});
  const double leaves =
      pool.reduce_ranges([](TaskRange, Worker& worker) { return worker.random().uniform(); }, 100,
                         std::plus<>(), 0.0, {7, 65'536});
  all.push_back({sum, leaves});
  return all;
}

double busy_work(std::int64_t i) {
  double sum = 0;
  for (int k = 0; k < 2000; ++k)
    sum += std::sin(static_cast<double>(i + k));
  return sum;
}

constexpr std::int64_t tasks = 2000;

/// How far the phases of the worst rank are from the wall, beyond 1 ms and 5 %, in seconds.
double excess(const Repetition& repetition) {
  double worst = 0;
  for (const RankTimes& rank : repetition.ranks) {
    double inside = 0;
    for (const Phase phase : {Phase::scatter, Phase::compute, Phase::wait, Phase::gather})
      inside += rank.phase_time_s[static_cast<std::size_t>(phase)];
    worst = std::max(worst, std::abs(repetition.wall_s - inside));
  }
  return worst - 1e-3 - 0.05 * repetition.wall_s;
}

void check_counters(const Pool& pool, const Repetition& repetition) {
  EXPECT_EQ(repetition.state, RepState::done);
  EXPECT_EQ(repetition.schedule_used, pool.options().schedule.text());
  EXPECT_EQ(std::ssize(repetition.ranks), pool.comm().size());
  EXPECT_GT(repetition.start_utc_s, 1.7e9);
  EXPECT_GE(repetition.barrier_skew_s, 0);
  std::uint64_t done = 0;
  std::uint64_t chunks = 0;
  std::size_t r = 0;
  for (const RankTimes& rank : repetition.ranks) {
    done += rank.tasks_done;
    chunks += rank.chunks_done;
    EXPECT_EQ(std::ssize(rank.thread_busy_s), pool.layout().ranks()[r++].threads);
    for (const double busy : rank.thread_busy_s) {
      EXPECT_GT(busy, 0);
      EXPECT_LE(busy, repetition.wall_s);
    }
    const auto computed = rank.phase_time_s[static_cast<std::size_t>(Phase::compute)];
    EXPECT_GE(computed + 1e-4, std::ranges::max(rank.thread_busy_s));
  }
  const ChunkSequence sequence(tasks, pool.workers(), pool.options().schedule);
  EXPECT_EQ(done, 2 * static_cast<std::uint64_t>(tasks));
  if (sequence.is_static())
    EXPECT_EQ(chunks, 2 * static_cast<std::uint64_t>(sequence.count()));
  else
    EXPECT_THAT(chunks, ::testing::AllOf(::testing::Ge(2U), ::testing::Le(done)));
}

/// Every task of the two calls in exactly two rows.
void check_trace(const Pool& pool, const std::vector<TraceRow>& rows, int repetitions) {
  if (!pool.is_root()) {
    EXPECT_TRUE(rows.empty());
    return;
  }
  std::vector<int> seen(static_cast<std::size_t>(tasks));
  for (const TraceRow& row : rows) {
    EXPECT_LT(row.rep, repetitions);
    EXPECT_LT(row.rank, pool.comm().size());
    EXPECT_LT(row.thread, pool.layout().ranks()[static_cast<std::size_t>(row.rank)].threads);
    EXPECT_LE(row.begin_s, row.end_s);
    for (std::int64_t task = row.first_task; task < row.first_task + row.tasks; ++task)
      ++seen[static_cast<std::size_t>(task)];
  }
  EXPECT_EQ(std::ranges::count(seen, 2 * repetitions), tasks);
}

Repetition repeat(Pool& pool) {
  return pool.measure([&] {
    (void)pool.map(busy_work, tasks);
    (void)pool.map_reduce(busy_work, tasks, std::plus<>(), 0.0);
  });
}

/// Of a pool whose options differ in what `change` does; with a trace.
template <class Change>
Pool traced(const Pool& pool, Change change) {
  PoolOptions options = pool.options();
  options.trace = true;
  change(options);
  return Pool(pool.comm(), options);
}

/// `auto` learns from the first tasks how many are worth a chunk.
void check_auto(const Pool& pool) {
  Pool own = traced(pool, [](PoolOptions& options) { options.schedule = Schedule(); });
  const auto dear = [](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // twenty times what a chunk may take
    return i;
  };
  (void)own.map(dear, 12 * own.workers());
  for (const TraceRow& row : own.take_trace())
    EXPECT_EQ(row.tasks, 1);
  constexpr std::int64_t many = 200'000;
  (void)own.map([](std::int64_t i) { return i; }, many);
  EXPECT_LT(10 * std::ssize(own.take_trace()), many); // in the mean a chunk has more than ten
}

/// Chunks are as large as the weights that were told, in any unit, make them.
void check_weights(const Pool& pool) {
  const int workers = pool.workers();
  Pool own = traced(pool, [workers](PoolOptions& options) {
    options.schedule = Schedule(Technique::weighted);
    for (int worker = 0; worker < workers; ++worker)
      options.weights.push_back(10.0 * (1 + worker));
  });
  const auto brief = [](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    return i;
  };
  const std::int64_t n = 32 * workers;
  (void)own.map(brief, n);
  const ChunkSequence sequence(n, workers, own.options().schedule);
  for (const TraceRow& row : own.take_trace()) {
    const int worker = row.rank * own.options().threads + row.thread;
    const Pace pace{.weight = (1.0 + worker) / (0.5 * (1 + workers))};
    EXPECT_EQ(row.tasks, sequence.chunk_from(row.first_task, pace).size()) << "worker " << worker;
  }
}

/// Whether the first worker, who takes twice as long for a task, drew a smaller chunk than its even
/// share.
bool slow_one_draws_less(Pool& pool) {
  const auto task = [](std::int64_t i, Worker& worker) {
    std::this_thread::sleep_for(std::chrono::milliseconds(worker.index() == 0 ? 2 : 1));
    return i;
  };
  const std::int64_t n = 32 * pool.workers();
  (void)pool.map(task, n);
  const ChunkSequence even(n, pool.workers(), pool.options().schedule);
  const std::vector<TraceRow> rows = pool.take_trace();
  return pool.from_root([&] {
    return std::ranges::any_of(rows, [&](const TraceRow& row) {
      return row.rank == 0 && row.thread == 0 && row.tasks < even.chunk_from(row.first_task).size();
    });
  });
}

/// Adaptive learns it within a call, weighted from the last one. A busy machine may make any worker
/// slow: it must come out in one of several tries.
void check_speeds(const Pool& pool) {
  const auto nothing_told = [](PoolOptions& options) { options.weights.clear(); };
  std::optional<Pool> own;
  bool less = false;
  for (int tries = 0; tries < 20 && !less; ++tries) {
    if (!own || pool.options().schedule.technique() == Technique::adaptive)
      own.emplace(traced(pool, nothing_told));
    less = slow_one_draws_less(*own);
  }
  EXPECT_TRUE(less);
}

} // namespace

void check_paces(Pool& pool) {
  if (pool.comm().nodes() > 1 || pool.data_path() == "messages")
    return; // only what is drawn from one place tells by its sizes what each worker was given
  const Technique technique = pool.options().schedule.technique();
  if (technique == Technique::automatic)
    check_auto(pool);
  if (technique == Technique::weighted)
    check_weights(pool);
  if ((technique == Technique::weighted || technique == Technique::adaptive) && pool.workers() > 1)
    check_speeds(pool);
}

void check_random(Pool& pool) {
  PoolOptions options = pool.options();
  options.seed = 7;
  Pool own(pool.comm(), options);
  const Draws draws = draw(own);
  // The same numbers as from a single worker.
  Draws expected;
  Comm::in_process(1, [&](Comm& comm) {
    PoolOptions alone;
    alone.threads = 1;
    alone.seed = 7;
    Pool single(comm, alone);
    expected = draw(single);
  });
  if (pool.is_root())
    EXPECT_EQ(draws, expected);
  else
    EXPECT_EQ(draws.back(), expected.back());
  std::vector<double> numbers;
  for (std::size_t i = 0; i + 1 < expected.size(); ++i)
    numbers.insert(numbers.end(), expected[i].begin(), expected[i].end());
  std::ranges::sort(numbers);
  EXPECT_TRUE(std::ranges::adjacent_find(numbers) == numbers.end()); // none comes twice

  std::vector<Draws> repeated; // what is repeated draws the same
  for (int i = 0; i < 3; ++i)
    (void)own.measure([&] { repeated.push_back(draw(own)); });
  EXPECT_NE(repeated[0], draws);
  EXPECT_EQ(repeated[1], repeated[0]);
  EXPECT_EQ(repeated[2], repeated[0]);
  EXPECT_NE(draw(own), repeated[0]);
  EXPECT_THROW(own.measure([] { throw std::runtime_error("left"); }), std::runtime_error);
  EXPECT_NE(draw(own), repeated[0]); // also after a repetition that was left
}

void check_timings(Pool& pool) {
  PoolOptions options = pool.options();
  options.trace = true;
  Pool own(pool.comm(), options);
  (void)own.map([](std::int64_t i) { return i; }, 10);
  (void)own.take_trace();
  // A busy machine may suspend a rank between two looks at the clock: one good repetition will do.
  double least = 1;
  int repetitions = 0;
  for (; repetitions < 40 && least > 0; ++repetitions) {
    const Repetition repetition = repeat(own);
    if (own.is_root()) {
      check_counters(own, repetition);
      EXPECT_EQ(std::ssize(own.timings().run), repetitions + 1);
    }
    least = own.from_root([&] { return std::min(least, excess(repetition)); });
  }
  EXPECT_LE(least, 0);
  check_trace(own, own.take_trace(), repetitions);
  EXPECT_TRUE(own.take_trace().empty());
}

void check_pool(const Comm& comm, const PoolOptions& options) {
  SCOPED_TRACE("rank " + std::to_string(comm.rank()) + " of " + std::to_string(comm.size()) +
               ", nodes " + std::to_string(comm.nodes()) + ", threads " +
               std::to_string(options.threads) + ", " + options.schedule.text() + ", " +
               name(options.data_path));
  Pool pool(comm, options);
  check_maps(pool);
  check_map_bands(pool);
  check_reductions(pool);
  check_data(pool);
  check_failures(pool);
  check_disagreements(pool);
  check_random(pool);
  check_timings(pool);
  check_paces(pool);
}

} // namespace cleave::testing
