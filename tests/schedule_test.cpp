#include "cleave/error.hpp"
#include "cleave/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace cleave {
namespace {

using testing::HasSubstr;

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

const std::vector<Schedule> schedules = {
    Schedule(), Schedule(Technique::cyclic), Schedule(Technique::cyclic, 3),
    Schedule(Technique::cyclic, 64), Schedule(Technique::cyclic, huge)};

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
  for (const char* text : {"block", "cyclic", "cyclic,64", "cyclic,9223372036854775807"})
    EXPECT_EQ(Schedule::parse(text).text(), text);
  EXPECT_EQ(Schedule::parse("cyclic,1"), Schedule(Technique::cyclic));
  EXPECT_EQ(Schedule(), Schedule::parse("block"));
}

TEST(Schedule, RefusesOtherTextsAndSaysWhatWouldBeRight) {
  for (const char* text : {"", "blok", "guided,64", "block,4", "cyclic,", "cyclic,0", "cyclic,-1",
                           "cyclic,x", "cyclic,4x", "cyclic, 4", "cyclic,1,2", "cyclic,1e3",
                           "cyclic,9223372036854775808", "Block"})
    EXPECT_THAT(message_of(text), HasSubstr("block | cyclic | cyclic,K")) << text;
  EXPECT_THAT(message_of("guided,64"), HasSubstr("\"guided,64\""));
  EXPECT_THAT(message_of("block,4"), HasSubstr("block takes no chunk"));
  EXPECT_THAT(message_of("cyclic,9223372036854775808"), HasSubstr("64 bits"));
}

TEST(Schedule, RefusesImpossibleChunks) {
  EXPECT_THROW(Schedule(Technique::cyclic, 0), Error);
  EXPECT_THROW(Schedule(Technique::cyclic, -5), Error);
  EXPECT_THROW(Schedule(Technique::block, 2), Error);
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
  const ChunkSequence chunks(10, 4, Schedule());
  EXPECT_EQ(chunks.count(), 4);
  EXPECT_EQ(chunks.chunk(1), (TaskRange{3, 6}));
  EXPECT_EQ(chunks.owner(3), 3);
  EXPECT_EQ(ChunkSequence(2, 4, Schedule()).count(), 2);
}

TEST(ChunkSequence, DealsCyclicChunksInTurn) {
  const ChunkSequence chunks(10, 2, Schedule(Technique::cyclic, 3));
  EXPECT_EQ(chunks.count(), 4);
  EXPECT_EQ(chunks.chunk(2), (TaskRange{6, 9}));
  EXPECT_EQ(chunks.chunk(3), (TaskRange{9, 10}));
  EXPECT_EQ(chunks.owner(2), 0);
  EXPECT_EQ(chunks.owner(3), 1);
}

} // namespace
} // namespace cleave
