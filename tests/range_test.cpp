#include "cleave/range.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace cleave {
namespace {

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

TEST(BlockRange, CoversEveryTaskOnceInNearlyEqualPieces) {
  for (std::int64_t n = 0; n <= 40; ++n)
    for (std::int64_t parts = 1; parts <= 12; ++parts) {
      std::int64_t next = 0;
      for (std::int64_t part = 0; part < parts; ++part) {
        const TaskRange range = block_range(n, parts, part);
        EXPECT_EQ(range.first, next);
        EXPECT_GE(range.size(), n / parts);
        EXPECT_LE(range.size(), n / parts + 1);
        next = range.last;
      }
      EXPECT_EQ(next, n);
    }
}

TEST(BlockRange, PutsTheLargerPiecesFirst) {
  EXPECT_EQ(block_range(7, 3, 0), (TaskRange{0, 3}));
  EXPECT_EQ(block_range(7, 3, 1), (TaskRange{3, 5}));
  EXPECT_EQ(block_range(7, 3, 2), (TaskRange{5, 7}));
}

TEST(BlockOwner, InvertsBlockRange) {
  for (std::int64_t n = 1; n <= 40; ++n)
    for (std::int64_t parts = 1; parts <= 12; ++parts)
      for (std::int64_t part = 0; part < parts; ++part)
        for (std::int64_t i = block_range(n, parts, part).first;
             i < block_range(n, parts, part).last; ++i)
          EXPECT_EQ(block_owner(n, parts, i), part) << "task " << i << " of " << n;
}

TEST(BlockRange, ReachesTheLastOf2To63Tasks) {
  for (const std::int64_t parts : {std::int64_t{1}, std::int64_t{3}, std::int64_t{1000}}) {
    EXPECT_EQ(block_range(huge, parts, parts - 1).last, huge);
    EXPECT_EQ(block_owner(huge, parts, huge - 1), parts - 1);
  }
}

void expect_cover(const Leaves& leaves) {
  std::int64_t next = 0;
  for (std::int64_t leaf = 0; leaf < leaves.count(); ++leaf) {
    const TaskRange tasks = leaves.tasks_of(leaf);
    EXPECT_EQ(tasks.first, next);
    EXPECT_FALSE(tasks.empty());
    next = tasks.last;
  }
  EXPECT_EQ(next, leaves.tasks());
}

TEST(Leaves, CoverEveryTaskOnceWithinTheLimit) {
  for (const std::int64_t n : {0, 1, 7, 64, 65, 1000})
    for (const std::int64_t grain : {1, 3, 64, 5000})
      for (const std::int64_t limit : {1, 2, 10, 65'536}) {
        const Leaves leaves(n, grain, limit);
        expect_cover(leaves);
        EXPECT_LE(leaves.count(), limit);
        EXPECT_GE(leaves.leaf_size(), grain);
      }
}

TEST(Leaves, StayWithin64Bits) {
  const Leaves leaves(huge, 1000);
  EXPECT_LE(leaves.count(), default_max_leaves);
  EXPECT_EQ(leaves.tasks_of(0).first, 0);
  EXPECT_EQ(leaves.tasks_of(leaves.count() - 1).last, huge);
  EXPECT_EQ(Leaves(huge, huge).count(), 1);
  EXPECT_EQ(Leaves(5, huge).tasks_of(0), (TaskRange{0, 5}));
}

TEST(Leaves, KeepTheGrainWhereTheLimitAllows) {
  EXPECT_EQ(Leaves(1000, 64).leaf_size(), 64);
  EXPECT_EQ(Leaves(1000, 64).count(), 16);
  EXPECT_EQ(Leaves(0).count(), 0);
}

} // namespace
} // namespace cleave
