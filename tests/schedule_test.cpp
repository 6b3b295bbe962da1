#include "cleave/error.hpp"
#include "cleave/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace cleave {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

const std::vector<Technique> drawn_by_size = {Technique::dynamic,   Technique::guided,
                                              Technique::trapezoid, Technique::factoring,
                                              Technique::weighted,  Technique::adaptive};

// Every technique, those that take a chunk with each of `chunks`.
std::vector<Schedule> every_schedule(const std::vector<std::int64_t>& chunks) {
  std::vector<Schedule> all = {Schedule(), Schedule(Technique::block)};
  for (const std::int64_t chunk : chunks) {
    all.emplace_back(Technique::cyclic, chunk);
    for (const Technique technique : drawn_by_size)
      all.emplace_back(technique, chunk);
  }
  return all;
}

const std::vector<Schedule> schedules = every_schedule({1, 3, 64, huge});

// Paces as they may be measured, nonsense included.
Pace random_pace(std::mt19937_64& random) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr std::array weights = {0.0, -1.0, infinity, std::nan(""), 1e-9, 0.3, 1.0, 2.5, 1e9};
  constexpr std::array<std::int64_t, 5> mosts = {-1, 0, 17, 400, huge};
  return {.weight = weights[random() % weights.size()], .most = mosts[random() % mosts.size()]};
}

// The sizes of the chunks that workers of weight 1 draw.
std::vector<std::int64_t> drawn_sizes(const ChunkSequence& chunks, const Pace& pace = {}) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t first = 0; first < chunks.tasks(); first += sizes.back())
    sizes.push_back(chunks.chunk_from(first, pace).size());
  return sizes;
}

std::vector<std::int64_t> drawn_sizes(std::int64_t n, std::int64_t workers, const char* schedule,
                                      const Pace& pace = {}) {
  return drawn_sizes(ChunkSequence(n, workers, Schedule::parse(schedule)), pace);
}

// Draws all chunks, each by a worker of another pace, and expects that they cover [0, n) once.
void expect_drawn_once(const ChunkSequence& chunks, const std::string& which) {
  std::mt19937_64 random(5);
  std::int64_t next = 0;
  while (next < chunks.tasks()) {
    const TaskRange chunk = chunks.chunk_from(next, random_pace(random));
    ASSERT_EQ(chunk.first, next) << which;
    ASSERT_FALSE(chunk.empty()) << which;
    ASSERT_LE(chunk.last, chunks.tasks()) << which;
    next = chunk.last;
  }
  EXPECT_TRUE(chunks.chunk_from(next).empty()) << which;
  EXPECT_TRUE(chunks.chunk_from(huge).empty()) << which;
}

std::string message_of(std::string_view text) {
  try {
    return "parsed as " + Schedule::parse(text).text();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().key, "schedule");
    return error.message();
  }
}

TEST(Schedule, ReadsBackItsText) {
  for (const Schedule& schedule : schedules)
    EXPECT_EQ(Schedule::parse(schedule.text()), schedule) << schedule.text();
  for (const char* text : {"auto", "block", "cyclic", "cyclic,64", "guided,9223372036854775807"})
    EXPECT_EQ(Schedule::parse(text).text(), text);
  EXPECT_EQ(Schedule::parse("cyclic,1"), Schedule(Technique::cyclic));
  EXPECT_EQ(Schedule(), Schedule::parse("auto"));
}

TEST(Schedule, ReadsPowersOfTenExactly) {
  EXPECT_EQ(Schedule::parse("guided,1e3").text(), "guided,1000");
  EXPECT_EQ(Schedule::parse("dynamic,9007199254740993e2").chunk(), 900'719'925'474'099'300);
  EXPECT_EQ(Schedule::parse("dynamic,5e0").chunk(), 5);
  EXPECT_THAT(message_of("dynamic,1e19"), HasSubstr("64 bits"));
  EXPECT_THAT(message_of("dynamic,1e999"), HasSubstr("64 bits"));
  for (const char* text : {"dynamic,1e", "dynamic,1e-3", "dynamic,1e3x", "dynamic,1e3e1"})
    EXPECT_THAT(message_of(text), HasSubstr("not a whole number")) << text;
}

TEST(Schedule, RefusesOtherTextsAndSaysWhatWouldBeRight) {
  for (const char* text : {"", "blok", "block,4", "auto,2", "automatic", "cyclic,", "cyclic,0",
                           "cyclic,-1", "cyclic,x", "cyclic,4x", "cyclic, 4", "cyclic,1,2",
                           "cyclic,1.5", "cyclic,e3", "cyclic,9223372036854775808", "Block"})
    EXPECT_THAT(message_of(text),
                HasSubstr("block | cyclic[,K] | dynamic[,K] | guided[,K] | trapezoid[,K] | "
                          "factoring[,K] | weighted[,K] | adaptive[,K] | auto, K being"))
        << text;
  EXPECT_THAT(message_of("block,4"), HasSubstr("block takes no chunk"));
  EXPECT_THAT(message_of("auto,2"), HasSubstr("auto takes no chunk"));
  EXPECT_THAT(message_of("cyclic,9223372036854775808"), HasSubstr("64 bits"));
}

TEST(Schedule, SuggestsTheNearestName) {
  EXPECT_THAT(message_of("giuded,64"),
              HasSubstr("no schedule \"giuded,64\" (did you mean \"guided\"?); write"));
  EXPECT_THAT(message_of("x"), HasSubstr("no schedule \"x\"; write"));
}

TEST(Schedule, RefusesImpossibleChunks) {
  EXPECT_THROW(Schedule(Technique::cyclic, 0), Error);
  EXPECT_THROW(Schedule(Technique::cyclic, -5), Error);
  EXPECT_THROW(Schedule(Technique::block, 2), Error);
  EXPECT_THROW(Schedule(Technique::automatic, 2), Error);
}

TEST(ChunkSequence, CoversEveryTaskOnce) {
  for (const Schedule& schedule : schedules)
    for (const std::int64_t n : {0, 1, 7, 64, 1000})
      for (const std::int64_t workers : {1, 2, 3, 8, 2000}) {
        const ChunkSequence chunks(n, workers, schedule);
        std::int64_t next = 0;
        for (std::int64_t o = 0; o < chunks.count(); ++o) {
          const TaskRange chunk = chunks.chunk(o).value();
          EXPECT_EQ(chunk.first, next);
          EXPECT_FALSE(chunk.empty());
          next = chunk.last;
        }
        EXPECT_EQ(next, n) << schedule.text() << ", " << workers << " workers";
        EXPECT_FALSE(chunks.chunk(chunks.count()));
        EXPECT_FALSE(chunks.chunk(-1));
      }
}

TEST(ChunkSequence, CoversHugeCountsWithoutOverflow) {
  for (const Schedule& schedule : schedules)
    for (const std::int64_t n : {std::int64_t{1} << 40, huge - 1, huge})
      for (const std::int64_t workers : {std::int64_t{1}, std::int64_t{7}, huge}) {
        const ChunkSequence chunks(n, workers, schedule);
        EXPECT_EQ(chunks.chunk(0)->first, 0);
        EXPECT_EQ(chunks.chunk(chunks.count() - 1)->last, n);
        for (int sample = 1; sample < 100; ++sample) {
          const std::int64_t o = chunks.count() / 100 * sample;
          if (o > 0 && o < chunks.count()) {
            EXPECT_EQ(chunks.chunk(o - 1)->last, chunks.chunk(o)->first);
          }
        }
      }
}

TEST(ChunkSequence, GivesBlockOneChunkAWorker) {
  const ChunkSequence chunks(10, 4, Schedule(Technique::block));
  EXPECT_EQ(chunks.count(), 4);
  EXPECT_EQ(chunks.chunk(1), (TaskRange{3, 6}));
  EXPECT_EQ(chunks.owner(3), 3);
  EXPECT_EQ(ChunkSequence(2, 4, Schedule(Technique::block)).count(), 2);
}

TEST(ChunkSequence, DealsCyclicChunksInTurn) {
  const ChunkSequence chunks(10, 2, Schedule(Technique::cyclic, 3));
  EXPECT_EQ(chunks.count(), 4);
  EXPECT_EQ(chunks.chunk(2), (TaskRange{6, 9}));
  EXPECT_EQ(chunks.chunk(3), (TaskRange{9, 10}));
  EXPECT_EQ(chunks.owner(2), 0);
  EXPECT_EQ(chunks.owner(3), 1);
}

TEST(ChunkSequence, HasAStaticFormUnderEveryTechnique) {
  for (const Schedule& schedule : schedules) {
    const ChunkSequence chunks(10, 4, schedule);
    const bool cyclic = schedule.technique() == Technique::cyclic;
    EXPECT_EQ(chunks.is_static(), cyclic || schedule.technique() == Technique::block);
    if (!cyclic) {
      EXPECT_EQ(chunks.count(), 4) << schedule.text();
      EXPECT_EQ(chunks.chunk(1), (TaskRange{3, 6})) << schedule.text();
      EXPECT_EQ(chunks.owner(3), 3) << schedule.text();
    }
  }
}

TEST(DrawnChunks, CoverEveryTaskOnceAtAnyPace) {
  for (const Schedule& schedule : every_schedule({1, 3, 1000, huge}))
    for (const std::int64_t n : {0, 1, 2, 7, 1000})
      for (const std::int64_t workers : {1, 2, 3, 7, 64, 1'000'000})
        expect_drawn_once(ChunkSequence(n, workers, schedule),
                          schedule.text() + ", n " + std::to_string(n) + ", workers " +
                              std::to_string(workers));
}

TEST(DrawnChunks, CoverHugeCountsWithoutOverflow) {
  for (const std::int64_t n : {std::int64_t{1} << 40, std::int64_t{1} << 62, huge})
    for (const Schedule& schedule : every_schedule({n / 1000, n / 3, huge}))
      for (const std::int64_t workers : {1, 7, 64, 1'000'000})
        if (schedule.technique() == Technique::block ? workers < 100 : schedule.chunk() > 1)
          expect_drawn_once(ChunkSequence(n, workers, schedule),
                            schedule.text() + ", n " + std::to_string(n) + ", workers " +
                                std::to_string(workers));
}

TEST(DrawnChunks, CoverHugeCountsInShrinkingChunks) {
  for (const Schedule& schedule : every_schedule({1}))
    for (const std::int64_t workers : {1, 7, 64}) {
      const Technique technique = schedule.technique();
      if (technique == Technique::cyclic || technique == Technique::dynamic)
        continue; // as many chunks as tasks
      constexpr std::int64_t n = std::int64_t{1} << 40;
      const auto sizes = drawn_sizes(ChunkSequence(n, workers, schedule));
      EXPECT_GT(std::ranges::min(sizes), 0) << schedule.text();
      EXPECT_EQ(std::reduce(sizes.begin(), sizes.end()), n) << schedule.text();
    }
}

TEST(DrawnChunks, HaveTheirSizeBeyondThePrecisionOfADouble) {
  const std::int64_t n = std::int64_t{1} << 62;
  const std::int64_t chunk = (n >> 2) + 1;
  for (const Technique technique : drawn_by_size)
    EXPECT_EQ(ChunkSequence(n, 64, Schedule(technique, chunk)).chunk_from(0).size(), chunk);
  for (const char* text : {"weighted", "adaptive", "auto"})
    EXPECT_EQ(drawn_sizes(huge, 1, text, {.weight = 64}), std::vector{huge}) << text;
  EXPECT_EQ(ChunkSequence(n, 1, Schedule(Technique::guided)).chunk_from(1).size(), n - 1);
  EXPECT_EQ(ChunkSequence(n + 1, 1, Schedule(Technique::factoring)).chunk_from(0).size(),
            n / 2 + 1);
}

TEST(DrawnChunks, StayWithinTheTasksThatAreLeftFromAnyPosition) {
  std::mt19937_64 random(7);
  for (const Schedule& schedule : schedules)
    for (const std::int64_t n : {std::int64_t{1'000'003}, std::int64_t{1} << 62, huge})
      for (const std::int64_t workers : {std::int64_t{1}, std::int64_t{1'000'000}, huge})
        for (int sample = 0; sample < 100; ++sample) {
          const auto first = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
          const ChunkSequence chunks(n, workers, schedule);
          const TaskRange chunk = chunks.chunk_from(first, random_pace(random));
          EXPECT_EQ(chunk.first, first) << schedule.text();
          EXPECT_GT(chunk.last, first) << schedule.text();
          EXPECT_LE(chunk.last, n) << schedule.text();
        }
}

TEST(DrawnChunks, NeverGrowAndHaveTheSmallestChunkButForTheLast) {
  for (const Technique technique : drawn_by_size)
    for (const std::int64_t chunk : {1, 3, 10, 1000})
      for (const std::int64_t n : {1, 100, 1000, 12'345})
        for (const std::int64_t workers : {1, 2, 7, 64}) {
          const Schedule schedule(technique, chunk);
          std::vector<std::int64_t> sizes = drawn_sizes(ChunkSequence(n, workers, schedule));
          EXPECT_TRUE(std::ranges::is_sorted(sizes, std::greater<>())) << schedule.text();
          sizes.pop_back();
          EXPECT_TRUE(std::ranges::all_of(sizes, [&](auto size) { return size >= chunk; }))
              << schedule.text();
        }
}

TEST(DrawnChunks, AreThoseOfStaticTechniques) {
  EXPECT_THAT(drawn_sizes(10, 4, "block"), ElementsAre(3, 3, 2, 2));
  EXPECT_THAT(drawn_sizes(10, 2, "cyclic,3"), ElementsAre(3, 3, 3, 1));
  EXPECT_EQ(ChunkSequence(10, 4, Schedule(Technique::block)).chunk_from(4), (TaskRange{4, 6}));
  EXPECT_EQ(ChunkSequence(10, 2, Schedule::parse("cyclic,3")).chunk_from(4), (TaskRange{4, 6}));
}

TEST(DrawnChunks, OfBlockEndWhereTheBlockOfTheirTaskEnds) {
  for (const std::int64_t n : {1, 7, 100})
    for (const std::int64_t workers : {1, 2, 7, 8, 99, 1000}) {
      const ChunkSequence chunks(n, workers, Schedule(Technique::block));
      for (std::int64_t o = 0; o < chunks.count(); ++o)
        for (std::int64_t first = chunks.chunk(o)->first; first < chunks.chunk(o)->last; ++first)
          EXPECT_EQ(chunks.chunk_from(first).last, chunks.chunk(o)->last) << n << ' ' << workers;
    }
}

TEST(DrawnChunks, OfDynamicHaveAFixedSize) {
  EXPECT_THAT(drawn_sizes(10, 4, "dynamic,4"), ElementsAre(4, 4, 2));
  EXPECT_EQ(ChunkSequence(10, 4, Schedule(Technique::dynamic, 4)).fixed_chunk(), 4);
  EXPECT_EQ(ChunkSequence(10, 4, Schedule(Technique::cyclic, 4)).fixed_chunk(), 0);
  EXPECT_EQ(ChunkSequence(10, 4, Schedule()).fixed_chunk(), 0);
}

// For 1000 tasks and 4 workers the literature has 250, 188, 141, 106, 79, 59, 45, 33, 25, ... for
// guided, 125 four times, 63 or 62 four times, ... for factoring, and 125, 117, 109, 101, 93, 85,
// ... for trapezoid, which follows its position here and so departs by a few tasks.
TEST(DrawnChunks, AreThoseOfTheLiterature) {
  EXPECT_THAT(drawn_sizes(1000, 4, "guided"),
              ElementsAre(250, 188, 141, 106, 79, 59, 45, 33, 25, 19, 14, 11, 8, 6, 4, 3, 3, 2, 1,
                          1, 1, 1));
  EXPECT_THAT(drawn_sizes(1000, 4, "guided,50"),
              ElementsAre(250, 188, 141, 106, 79, 59, 50, 50, 50, 27));
  EXPECT_THAT(drawn_sizes(1000, 4, "factoring"),
              ElementsAre(125, 125, 125, 125, 63, 63, 62, 62, 32, 31, 31, 31, 16, 16, 16, 15, 8, 8,
                          8, 7, 4, 4, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_THAT(drawn_sizes(1000, 4, "trapezoid"),
              ElementsAre(125, 117, 109, 101, 93, 84, 76, 68, 60, 51, 43, 34, 25, 14));
}

TEST(DrawnChunks, OfFactoringStayWithinTheirBatch) {
  const ChunkSequence chunks(1000, 3, Schedule(Technique::factoring, 10));
  EXPECT_EQ(chunks.chunk_from(0), (TaskRange{0, 167}));
  EXPECT_EQ(chunks.chunk_from(480), (TaskRange{480, 500}));
  EXPECT_EQ(chunks.chunk_from(499), (TaskRange{499, 509})); // one is left: below the smallest
  EXPECT_EQ(chunks.chunk_from(500), (TaskRange{500, 584}));
}

TEST(DrawnChunks, OfTrapezoidShrinkByEqualSteps) {
  const std::vector<std::int64_t> sizes = drawn_sizes(1'000'000, 10, "trapezoid,1000");
  EXPECT_EQ(sizes.front(), 50'000);
  const auto step = static_cast<double>(50'000LL * 50'000 - 1'000'000) / 2e6;
  for (std::size_t i = 1; i < sizes.size() / 2; ++i)
    EXPECT_NEAR(static_cast<double>(sizes[i - 1] - sizes[i]), step, 0.05 * step) << i;
}

TEST(DrawnChunks, FollowTheWeightOfTheWorker) {
  for (const char* text : {"weighted", "adaptive"}) {
    const ChunkSequence chunks(1000, 4, Schedule::parse(text));
    EXPECT_EQ(chunks.chunk_from(125).size(), 109); // 875 / 8
    EXPECT_EQ(chunks.chunk_from(0, {.weight = 2}).size(), 250);
    EXPECT_EQ(chunks.chunk_from(0, {.weight = 0.5}).size(), 63);
    EXPECT_EQ(chunks.chunk_from(0, {.weight = 1, .most = 5}).size(), 125);
    EXPECT_EQ(chunks.chunk_from(0, {.weight = 1e9}).size(), 1000); // as 64
    EXPECT_EQ(chunks.chunk_from(0, {.weight = 1e-9}).size(), 2);   // as 1/64
    for (const double weight : {0.0, -3.0, std::nan(""), std::numeric_limits<double>::infinity()})
      EXPECT_EQ(chunks.chunk_from(0, {.weight = weight}).size(), 125) << weight;
  }
  for (const char* text : {"dynamic", "guided", "trapezoid", "factoring", "block", "cyclic"})
    EXPECT_EQ(drawn_sizes(1000, 4, text, {.weight = 7, .most = 3}), drawn_sizes(1000, 4, text));
}

TEST(DrawnChunks, OfAutoKeepToTheTimeThatTheyMayTake) {
  const ChunkSequence chunks(1000, 4, Schedule());
  EXPECT_EQ(chunks.chunk_from(0).size(), 125);
  EXPECT_EQ(chunks.chunk_from(5).size(), 125); // 124.4, rounded up
  EXPECT_EQ(chunks.chunk_from(0, {.weight = 2}).size(), 250);
  EXPECT_EQ(chunks.chunk_from(0, {.weight = 2, .most = 40}).size(), 40);
  EXPECT_EQ(chunks.chunk_from(0, {.weight = 1, .most = 0}).size(), 1);
  EXPECT_EQ(chunks.chunk_from(999).size(), 1);
}

TEST(ChunksByCost, AreOfEqualCostAndTheDearestComesFirst) {
  const auto cost = [](std::int64_t i) { return i == 700 ? 1000.0 : i < 500 ? 1.0 : 3.0; };
  const std::vector<TaskRange> chunks = chunks_by_cost(1000, 1, cost);
  EXPECT_EQ(chunks.front(), (TaskRange{700, 701}));
  const auto cost_of = [&](TaskRange chunk) {
    double sum = 0;
    for (std::int64_t i = chunk.first; i < chunk.last; ++i)
      sum += cost(i);
    return sum;
  };
  std::vector<int> times(1000);
  const double share = (500 + 3 * 499 + 1000) / 128.0;
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    EXPECT_TRUE(c == 0 || cost_of(chunks[c]) <= share);
    EXPECT_TRUE(c == 0 || cost_of(chunks[c]) <= cost_of(chunks[c - 1]));
    for (std::int64_t i = chunks[c].first; i < chunks[c].last; ++i)
      ++times[static_cast<std::size_t>(i)];
  }
  EXPECT_EQ(times, std::vector<int>(1000, 1));
}

TEST(ChunksByCost, TakeAnyCost) {
  EXPECT_TRUE(chunks_by_cost(0, 4, [](std::int64_t) { return 1.0; }).empty());
  for (const double odd : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    std::int64_t tasks = 0;
    for (const TaskRange& chunk : chunks_by_cost(100, 4, [odd](std::int64_t) { return odd; }))
      tasks += chunk.size();
    EXPECT_EQ(tasks, 100);
  }
}

TEST(ChunksDearestFirst, FillTheGaps) {
  EXPECT_EQ(chunks_dearest_first(10, {{{2, 3}, 5}, {{7, 9}, 8}}, 4),
            (std::vector<TaskRange>{{7, 9}, {2, 3}, {0, 2}, {3, 7}, {9, 10}}));
  EXPECT_EQ(chunks_dearest_first(3, {}, 2), (std::vector<TaskRange>{{0, 2}, {2, 3}}));
}

} // namespace
} // namespace cleave
