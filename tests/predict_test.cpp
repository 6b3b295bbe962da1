#include "cleave/error.hpp"
#include "cleave/predict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <vector>

namespace cleave {
namespace {

using testing::HasSubstr;

constexpr ReplayCosts no_overheads = {0, 0, 0, 0, 0, 1e300};

CostProfile profile_of(const std::vector<double>& costs) {
  std::vector<CostedChunk> chunks;
  for (const double cost : costs) {
    const auto i = static_cast<std::int64_t>(chunks.size());
    chunks.push_back({{i, i + 1}, cost});
  }
  return CostProfile(std::move(chunks));
}

/// Costs without order, and now and then a long one.
std::vector<double> random_costs(std::int64_t n, unsigned seed, double scale = 1) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> cost(1e4);
  std::vector<double> costs;
  for (std::int64_t i = 0; i < n; ++i)
    costs.push_back(scale * cost(random) * (random() % 50 == 0 ? 20 : 1));
  return costs;
}

const std::vector<Machine> machines = {{1, 1},   {2, 2},   {3, 2},    {7, 7},
                                       {16, 16}, {64, 16}, {100, 16}, {1000, 64}};

double total(const std::vector<double>& costs) {
  return std::accumulate(costs.begin(), costs.end(), 0.0);
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(CostProfile, GivesTheCostOfEveryRange) {
  const std::vector<CostedChunk> chunks = {{{6, 10}, 8}, {{0, 1}, 5}, {{1, 6}, 10}};
  const CostProfile profile(chunks);
  const std::vector<double> each = {5, 2, 2, 2, 2, 2, 2, 2, 2, 2};
  for (std::int64_t first = 0; first <= 10; ++first)
    for (std::int64_t last = first; last <= 10; ++last)
      EXPECT_DOUBLE_EQ(profile.cost_s({first, last}),
                       std::accumulate(each.begin() + first, each.begin() + last, 0.0));
  EXPECT_EQ(profile.units(), 10);
  EXPECT_DOUBLE_EQ(profile.longest_s(), 5);
}

TEST(CostProfile, FindsItsPlaceAmongChunksOfAnySize) {
  std::mt19937_64 random(3);
  std::vector<CostedChunk> chunks;
  std::vector<double> before = {0};
  for (int c = 0; c < 300; ++c) {
    const auto first = static_cast<std::int64_t>(before.size()) - 1;
    const auto size = std::int64_t{1} << random() % 9;
    chunks.push_back({{first, first + size}, static_cast<double>(size * (1 + c % 7))});
    for (std::int64_t i = 0; i < size; ++i)
      before.push_back(before.back() + 1 + c % 7);
  }
  const CostProfile profile(chunks);
  for (std::size_t i = 0; i < before.size(); ++i)
    ASSERT_DOUBLE_EQ(profile.cost_s({0, static_cast<std::int64_t>(i)}), before[i]) << i;
}

TEST(CostProfile, RefusesTasksMissingOrTwice) {
  const auto make = [](std::vector<CostedChunk> chunks) {
    return message_of([&] { CostProfile profile(std::move(chunks)); });
  };
  EXPECT_THAT(make({{{0, 4}, 1}, {{5, 6}, 1}}), HasSubstr("task 4 is in none"));
  EXPECT_THAT(make({{{0, 4}, 1}, {{3, 6}, 1}}), HasSubstr("task 3 is in two"));
  EXPECT_THAT(make({{{1, 4}, 1}}), HasSubstr("task 0 is in none"));
}

TEST(CostProfile, KeepsShapeAndMeanWhenItGrows) {
  const CostProfile profile = profile_of({1, 2, 3, 4});
  const CostProfile large = profile.stretched(4'000'000'000);
  EXPECT_EQ(large.units(), 4'000'000'000);
  EXPECT_DOUBLE_EQ(large.total_s(), 1e10);
  EXPECT_DOUBLE_EQ(large.cost_s({0, 2'000'000'000}), 3e9);
  EXPECT_DOUBLE_EQ(large.longest_s(), 4);
}

TEST(Replay, OneWorkerTakesTheSumAndAllItsChunks) {
  const std::vector<double> costs = random_costs(500, 1);
  const CostProfile profile = profile_of(costs);
  for (const Schedule& schedule : all_schedules())
    EXPECT_NEAR(replay(profile, schedule, {1, 1}, no_overheads).time_s, total(costs),
                1e-12 * total(costs))
        << schedule.text();
  ReplayCosts dear = no_overheads;
  dear.chunk_s = 1e-3;
  for (const char* schedule : {"dynamic", "cyclic"})
    EXPECT_NEAR(replay(profile, Schedule::parse(schedule), {1, 1}, dear).time_s,
                total(costs) + 500e-3, 1e-9)
        << schedule;
  EXPECT_NEAR(replay(profile, Schedule::parse("block"), {1, 1}, dear).time_s, total(costs) + 1e-3,
              1e-9);
}

TEST(Replay, IsNeverBelowTheClairvoyantBound) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    const CostProfile profile = profile_of(random_costs(700, seed));
    for (const Machine& machine : machines)
      for (const Schedule& schedule : all_schedules())
        EXPECT_GE(replay(profile, schedule, machine, no_overheads).time_s,
                  clairvoyant_s(profile, machine) * (1 - 1e-12))
            << schedule.text() << " on " << machine.workers;
  }
}

// Graham 1969, doi:10.1137/0117039: whoever is free takes the next task, in any order.
TEST(Replay, DynamicKeepsGrahamsBound) {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    const CostProfile profile = profile_of(random_costs(200, seed));
    for (const std::int64_t workers : {2, 3, 7, 16, 150}) {
      const auto p = static_cast<double>(workers);
      const double time_s =
          replay(profile, Schedule::parse("dynamic"), {workers, workers}, no_overheads).time_s;
      EXPECT_LE(time_s, profile.total_s() / p + (1 - 1 / p) * profile.longest_s() + 1e-12);
    }
  }
}

TEST(Replay, ScalesWithTheCosts) {
  for (const Schedule& schedule : all_schedules()) {
    const auto technique = schedule.technique();
    if (technique == Technique::automatic || technique == Technique::adaptive ||
        technique == Technique::weighted)
      continue; // they go by seconds
    for (const Machine& machine : machines) {
      if (machine.nodes() > 1)
        continue; // super-chunks do
      const double once =
          replay(profile_of(random_costs(300, 5)), schedule, machine, no_overheads).time_s;
      const double more =
          replay(profile_of(random_costs(300, 5, 1024)), schedule, machine, no_overheads).time_s;
      EXPECT_DOUBLE_EQ(more, 1024 * once) << schedule.text();
    }
  }
}

TEST(Replay, StaticSchedulesAreSumsOfTheirChunks) {
  const std::vector<double> costs = random_costs(97, 7);
  const CostProfile profile = profile_of(costs);
  for (const char* text : {"block", "cyclic", "cyclic,3", "cyclic,40", "cyclic,1e18"})
    for (const std::int64_t workers : {1, 2, 5, 32, 96, 97, 200}) {
      const ChunkSequence sequence(97, workers, Schedule::parse(text));
      std::map<std::int64_t, double> busy;
      for (std::int64_t o = 0; o < sequence.count(); ++o)
        busy[sequence.owner(o)] += profile.cost_s(*sequence.chunk(o));
      double longest = 0;
      for (const auto& [worker, seconds] : busy)
        longest = std::max(longest, seconds);
      EXPECT_NEAR(replay(profile, Schedule::parse(text), {workers, workers}, no_overheads).time_s,
                  longest, 1e-12)
          << text << " on " << workers;
    }
}

// By hand: 8 equal tasks of 1 s on 2 workers under guided are chunks of 4, 2, 1, 1.
TEST(Replay, FollowsGuidedStepByStep) {
  const CostProfile profile(8, 8.0);
  EXPECT_DOUBLE_EQ(replay(profile, Schedule::parse("guided"), {2, 2}, no_overheads).time_s, 4);
  const CostProfile steep = profile_of({4, 1, 1, 1, 1});
  // 3 to the first worker (6 s); 1 and 1 to the second (2 s).
  EXPECT_DOUBLE_EQ(replay(steep, Schedule::parse("guided"), {2, 2}, no_overheads).time_s, 6);
}

TEST(Replay, ACounterThatIsHeldLimitsHowFastChunksAreDrawn) {
  ReplayCosts costs = no_overheads;
  costs.draw_s = 1e-6;
  const CostProfile profile(100'000, 0.001); // 10 ns each: far shorter than a draw
  const Schedule dynamic = Schedule::parse("dynamic");
  EXPECT_NEAR(replay(profile, dynamic, {128, 64}, costs).time_s, 0.05, 0.005);
  EXPECT_LT(replay(profile, dynamic, {64, 64}, costs).time_s, 0.001); // a counter a worker
}

TEST(Replay, SeveralNodesShareTheWorkThroughGrants) {
  const CostProfile profile(1'000'000, 1000.0); // 1 ms each
  for (const Schedule& schedule : all_schedules()) {
    const double time_s = replay(profile, schedule, {256, 16}, ReplayCosts()).time_s;
    EXPECT_GT(time_s, 1000.0 / 256) << schedule.text();
    EXPECT_LT(time_s, 1.05 * 1000.0 / 256) << schedule.text();
  }
}

TEST(Replay, MessagesAreNotFree) {
  const CostProfile profile(100'000, 1.0);
  ReplayCosts slow;
  slow.message_s = slow.nap_s = 0.1;
  for (const char* schedule : {"auto", "dynamic", "guided", "block"})
    EXPECT_GT(replay(profile, Schedule::parse(schedule), {64, 16}, slow).time_s,
              0.1 + replay(profile, Schedule::parse(schedule), {64, 16}, no_overheads).time_s)
        << schedule;
}

TEST(Replay, ManyChunksReplayedAtOnceEndAsOneByOne) {
  std::vector<CostedChunk> chunks;
  for (std::int64_t c = 0; c < 100; ++c)
    chunks.push_back({{c * 2000, (c + 1) * 2000}, 5e-3 * (1.0 + static_cast<double>(c))});
  const CostProfile profile(chunks);
  for (const char* schedule : {"dynamic", "auto"})
    for (const Machine& machine : {Machine{8, 8}, Machine{64, 16}}) {
      const Replayed fine = replay(profile, Schedule::parse(schedule), machine, ReplayCosts());
      const Replayed coarse =
          replay(profile, Schedule::parse(schedule), machine, ReplayCosts(), 10'000);
      EXPECT_LT(coarse.events, fine.events / 4) << schedule;
      EXPECT_NEAR(coarse.time_s, fine.time_s, 0.01 * fine.time_s) << schedule;
    }
}

// A call of which `auto` knows the long task from the call before: it comes first.
TEST(Replay, AutoRemembersALongTask) {
  std::vector<double> costs(1000, 1e-4);
  costs.back() = 0.1;
  const CostProfile profile = profile_of(costs);
  EXPECT_NEAR(replay(profile, Schedule(), {2, 2}, no_overheads).time_s, 0.1, 0.002);
  EXPECT_NEAR(replay(profile, Schedule::parse("dynamic"), {2, 2}, no_overheads).time_s, 0.15,
              0.001);
}

Timings timings_of(const std::vector<double>& walls, std::int64_t tasks, int workers = 1,
                   const std::string& schedule = "dynamic") {
  Timings timings;
  timings.info.workload = "sample";
  timings.info.schedule = schedule;
  timings.info.tasks = tasks;
  timings.info.ranks = workers;
  timings.info.rank_threads.assign(static_cast<std::size_t>(workers), 1);
  for (const double wall : walls) {
    Repetition repetition;
    repetition.wall_s = wall;
    repetition.state = RepState::done;
    repetition.ranks.resize(static_cast<std::size_t>(workers));
    for (RankTimes& rank : repetition.ranks)
      rank.thread_busy_s = {0.9 * wall};
    timings.run.push_back(repetition);
  }
  return timings;
}

TEST(MeasuredRun, FindsTheCallsOfARepetition) {
  std::vector<TraceRow> trace;
  double now = 0.5;
  for (int call = 0; call < 3; ++call)
    for (std::int64_t first = 0; first < 12; first += 4, now += 1)
      trace.push_back({0, 0, 0, first, 4, now, now + 1});
  const MeasuredRun run = measured_run(timings_of({11}, 12, 1, "dynamic,2"), trace);
  ASSERT_EQ(run.repetitions.size(), 1U);
  ASSERT_EQ(run.repetitions[0].calls.size(), 3U);
  EXPECT_EQ(run.unit_tasks, 2); // chunks of two leaves of two tasks
  EXPECT_EQ(run.repetitions[0].calls[2].units(), 6);
  EXPECT_DOUBLE_EQ(run.repetitions[0].calls[2].total_s(), 3);
  EXPECT_DOUBLE_EQ(run.repetitions[0].rest_s, 2);
}

TEST(MeasuredRun, LeavesOutWarmUpsAndWrongAnswers) {
  Timings timings = timings_of({1, 2, 3}, 1);
  timings.warm_up = {timings.run.back()};
  timings.run[0].state = RepState::wrong_answer;
  std::vector<TraceRow> trace;
  for (int rep = 0; rep < 4; ++rep)
    trace.push_back({rep, 0, 0, 0, 1, 0, 0.25 * (1 + rep)});
  const MeasuredRun run = measured_run(timings, trace);
  ASSERT_EQ(run.repetitions.size(), 2U);
  EXPECT_DOUBLE_EQ(run.repetitions[0].calls[0].total_s(), 0.75);
  EXPECT_DOUBLE_EQ(run.median_s, 2.5);
  timings.run.resize(1);
  EXPECT_THAT(message_of([&] { (void)measured_run(timings, trace); }), HasSubstr("no repetition"));
}

TEST(MeasuredRun, WithoutTraceSpreadsTheBusyTime) {
  const MeasuredRun run = measured_run(timings_of({10}, 100, 2), {});
  EXPECT_FALSE(run.traced);
  EXPECT_DOUBLE_EQ(run.repetitions[0].calls[0].total_s(), 18);
  EXPECT_DOUBLE_EQ(run.repetitions[0].rest_s, 1);
  EXPECT_THAT(run.notes, testing::Contains(HasSubstr("no trace")));
}

MeasuredRun even_run(const std::vector<double>& seconds, double rest_s = 0) {
  MeasuredRun run;
  run.traced = true;
  run.workers_a_node = 16;
  run.overheads = no_overheads;
  for (const double each : seconds)
    run.repetitions.push_back({{CostProfile(1'000'000, each)}, rest_s});
  return run;
}

TEST(Predict, TakesTheMedianAndItsInterval) {
  const Prediction prediction =
      predict(even_run({10, 20, 30, 40, 50, 60}), Schedule::parse("block"), {10, 16});
  EXPECT_NEAR(prediction.time_s.value, 3.5, 1e-9);
  ASSERT_TRUE(prediction.time_s.interval);
  EXPECT_NEAR(prediction.time_s.interval->lo, 1, 1e-9);
  EXPECT_NEAR(prediction.time_s.interval->hi, 6, 1e-9);
  EXPECT_NEAR(prediction.efficiency.value, 1, 1e-9);
  EXPECT_NEAR(prediction.node_hours.value, 3.5 / 3600, 1e-12);
  EXPECT_NEAR(prediction.regret, 0, 1e-9);
}

TEST(Predict, WhatIsOutsideOfCallsDoesNotShrink) {
  const Prediction prediction = predict(even_run({99}, 1), Schedule::parse("block"), {99, 99});
  EXPECT_NEAR(prediction.time_s.value, 2, 1e-3); // Amdahl
  EXPECT_NEAR(prediction.efficiency.value, 100.0 / (99 * 2), 1e-3);
}

TEST(Predict, FewRepetitionsAreResampled) {
  MeasuredRun run = even_run({});
  for (const unsigned seed : {1U, 2U})
    run.repetitions.push_back({{profile_of(random_costs(400, seed))}, 0});
  const Prediction prediction = predict(run, Schedule::parse("dynamic"), {4, 4});
  ASSERT_TRUE(prediction.time_s.interval);
  EXPECT_LT(prediction.time_s.interval->lo, prediction.time_s.interval->hi);
  EXPECT_GE(prediction.regret, 0);
  const Prediction again = predict(run, Schedule::parse("dynamic"), {4, 4});
  EXPECT_EQ(again.time_s.interval->hi, prediction.time_s.interval->hi) << "one seed";
}

std::vector<Prediction> doubling(const MeasuredRun& run, std::int64_t most) {
  std::vector<Prediction> all;
  for (std::int64_t workers = 1; workers <= most; workers *= 2)
    for (const char* schedule : {"block", "dynamic,1000"})
      all.push_back(predict(run, Schedule::parse(schedule), {workers, 16}));
  return all;
}

TEST(Ask, FindsTheLargestMachineOfAnEfficiency) {
  const MeasuredRun run = even_run({999}, 1); // E = 1000 / (999 + P): 0.8 at P = 251
  const auto answer = ask(run, {.efficiency = 0.8, .deadline_s = {}}, doubling(run, 4096));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->machine.workers, 240); // 15 whole nodes
  EXPECT_GE(answer->efficiency.value, 0.8);
}

TEST(Ask, FindsTheSmallestMachineForADeadline) {
  const MeasuredRun run = even_run({1000}, 1); // 1 + 1000 / P <= 5 from P = 250
  const auto answer = ask(run, {.efficiency = {}, .deadline_s = 5}, doubling(run, 4096));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->machine.workers, 256);
  EXPECT_LE(answer->time_s.value, 5);
  EXPECT_FALSE(ask(run, {.efficiency = {}, .deadline_s = 0.5}, doubling(run, 4096)));
}

} // namespace
} // namespace cleave
