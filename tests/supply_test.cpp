#include "cleave/supply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

namespace cleave {
namespace {

/// Zero-initialised, as memory that a node shares is.
std::unique_ptr<NodeQueue> fresh_queue() {
  return std::unique_ptr<NodeQueue>(new NodeQueue());
}

TEST(NodeQueue, GivesNothingAfterItsEnd) {
  const auto queue = fresh_queue();
  const ChunkSequence whole(100, 4, Schedule::parse("dynamic,3"));
  EXPECT_TRUE(queue->has_room());
  queue->grant({10, 15});
  queue->grant({40, 41});
  EXPECT_FALSE(queue->has_room());
  EXPECT_EQ(queue->left(), 6);
  queue->end();
  EXPECT_EQ(queue->draw(whole, 2, {}, false), (TaskRange{10, 13}));
  EXPECT_EQ(queue->draw(whole, 2, {}, false), (TaskRange{13, 15}));
  EXPECT_EQ(queue->left(), 1);
  EXPECT_EQ(queue->draw(whole, 2, {}, false), (TaskRange{40, 41}));
  EXPECT_EQ(queue->draw(whole, 2, {}, false), std::nullopt);
  queue->reset();
  EXPECT_TRUE(queue->has_room());
  EXPECT_EQ(queue->left(), 0);
}

TEST(NodeQueue, EveryTaskIsDrawnOnceAndAscendsOnEachWorker) {
  constexpr int workers = 4;
  constexpr std::int64_t tasks = 20'000;
  for (const char* schedule : {"dynamic", "dynamic,7", "guided", "factoring", "adaptive", "auto"}) {
    const ChunkSequence whole(2 * tasks, 2 * workers, Schedule::parse(schedule));
    const auto queue = fresh_queue();
    std::vector<std::vector<TaskRange>> drawn(workers);
    {
      std::vector<std::jthread> threads;
      for (std::vector<TaskRange>& own : drawn)
        threads.emplace_back([&] {
          while (const auto chunk = queue->draw(whole, workers, {.weight = 1, .most = 5}, true))
            own.push_back(*chunk);
        });
      // Every other stretch is another node's.
      for (std::int64_t first = 0, size = 1; first < 2 * tasks; size = size % 61 + 1) {
        while (!queue->has_room())
          std::this_thread::yield();
        queue->grant({first, std::min(first + size, 2 * tasks)});
        first += 2 * size;
      }
      queue->end();
    }
    std::vector<TaskRange> all;
    for (const std::vector<TaskRange>& own : drawn) {
      EXPECT_TRUE(std::ranges::is_sorted(own, {}, &TaskRange::first)) << schedule;
      all.insert(all.end(), own.begin(), own.end());
    }
    std::ranges::sort(all, {}, &TaskRange::first);
    std::size_t next = 0; // of all
    for (std::int64_t first = 0, size = 1; first < 2 * tasks; size = size % 61 + 1) {
      const std::int64_t last = std::min(first + size, 2 * tasks);
      for (std::int64_t at = first; at < last; at = all[next++].last) {
        if (next == all.size() || all[next].first != at || all[next].last > last) {
          ADD_FAILURE() << schedule << ": task " << at << " is drawn never, twice or across";
          return;
        }
      }
      first += 2 * size;
    }
    EXPECT_EQ(next, all.size()) << schedule;
  }
}

TEST(Arrivals, TellWhatIsNewOfOverlappingParts) {
  Arrivals arrivals;
  using Parts = std::vector<std::pair<std::int64_t, std::int64_t>>;
  const auto add = [&arrivals](std::int64_t first, std::int64_t count) {
    Parts parts;
    for (const Part& part : arrivals.add({first, count}))
      parts.emplace_back(part.first, part.count);
    return parts;
  };
  EXPECT_EQ(add(10, 5), (Parts{{10, 5}}));
  EXPECT_EQ(add(20, 5), (Parts{{20, 5}}));
  EXPECT_EQ(add(11, 3), Parts());
  EXPECT_EQ(add(15, 5), (Parts{{15, 5}})); // now 10 to 24 are one
  EXPECT_EQ(add(8, 20), (Parts{{8, 2}, {25, 3}}));
  EXPECT_EQ(add(40, 0), Parts());
  EXPECT_EQ(add(50, 2), (Parts{{50, 2}}));
  EXPECT_EQ(add(0, 60), (Parts{{0, 8}, {28, 22}, {52, 8}}));
}

} // namespace
} // namespace cleave
