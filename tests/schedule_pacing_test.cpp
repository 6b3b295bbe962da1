// Chunks by measured times: those of `auto` and of `adaptive`; schedule_pacing.hpp.
#include "cleave/schedule.hpp"
#include "schedule_pacing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace cleave {
namespace {

// The sizes of the chunks of `auto` that one worker draws, task i of which takes `task_ns(i)`.
std::vector<std::int64_t> paced_sizes(std::int64_t n,
                                      const std::function<double(std::int64_t)>& task_ns) {
  const ChunkSequence chunks(n, 1, Schedule());
  std::vector<std::int64_t> sizes;
  Pace pace{.most = 1};
  for (std::int64_t first = 0; first < n; first += sizes.back()) {
    sizes.push_back(chunks.chunk_from(first, pace).size());
    double spent_ns = 0;
    for (std::int64_t i = first; i < first + sizes.back(); ++i)
      spent_ns += task_ns(i);
    pace.most = pacing::most_after(sizes.back(), spent_ns);
  }
  return sizes;
}

TEST(PacedChunks, OfAutoHaveAsManyTasksAsFitIntoTheirTime) {
  const auto constant = [](double ns) { return [ns](std::int64_t) { return ns; }; };
  EXPECT_EQ(paced_sizes(100, constant(1e6)), std::vector<std::int64_t>(100, 1));
  const std::vector<std::int64_t> cheap = paced_sizes(10'000, constant(100)); // 500 take 50 us
  ASSERT_GT(cheap.size(), 12U);
  EXPECT_THAT(std::vector(cheap.begin(), cheap.begin() + 12),
              testing::ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 500, 500, 500));
  EXPECT_EQ(std::ranges::max(cheap), 500);
  const std::vector<std::int64_t> nothing = paced_sizes(10'000, constant(0));
  EXPECT_EQ(nothing[11], 2048);
  EXPECT_EQ(nothing[12], 2953); // half of the 5905 that are left
}

TEST(PacedChunks, OfAutoShrinkAtOnceWhereTasksGetDear) {
  const auto sizes = paced_sizes(600, [](std::int64_t i) { return i < 255 ? 100.0 : 25'000.0; });
  const std::vector<std::int64_t> expected = {1, 2, 4, 8, 16, 32, 64, 128, 173, 2, 2};
  EXPECT_EQ(std::vector(sizes.begin(), sizes.begin() + 11), expected);
  EXPECT_EQ(pacing::most_after(std::numeric_limits<std::int64_t>::max(), 0), std::int64_t{1} << 62);
}

struct PacedWorker {
  double task_ns;
  double now_ns = 0;
  double rate = 0; // of the chunks that it has ended
  double weight = 1;
  std::int64_t tasks = 0;
  std::vector<double> sizes{}; // of its chunks, relative to those of weight 1
};

// Two workers draw all tasks, whoever is free the next, by weights that are renewed.
std::array<PacedWorker, 2> drawn_by_two(std::int64_t n, double one_ns, double other_ns) {
  const ChunkSequence chunks(n, 2, Schedule(Technique::adaptive));
  std::array workers{PacedWorker{.task_ns = one_ns}, PacedWorker{.task_ns = other_ns}};
  for (std::int64_t first = 0; first < n;) {
    PacedWorker& worker = *std::ranges::min_element(workers, {}, &PacedWorker::now_ns);
    if (worker.tasks > 0) {
      worker.rate = 1 / worker.task_ns;
      const int known = workers[0].rate > 0 && workers[1].rate > 0 ? 2 : 1;
      worker.weight = pacing::weight_of(worker.rate, workers[0].rate + workers[1].rate, known);
    }
    const auto size = chunks.chunk_from(first, {.weight = worker.weight}).size();
    worker.sizes.push_back(static_cast<double>(size) /
                           static_cast<double>(chunks.chunk_from(first).size()));
    worker.now_ns += worker.task_ns * static_cast<double>(size);
    worker.tasks += size;
    first += size;
  }
  return workers;
}

TEST(PacedChunks, OfAdaptiveAreSmallerForTheSlow) {
  const auto [quick, slow] = drawn_by_two(100'000, 100, 200);
  EXPECT_NEAR(static_cast<double>(slow.tasks) / static_cast<double>(quick.tasks), 0.5, 0.01);
  ASSERT_GT(slow.sizes.size(), 2U);
  EXPECT_EQ(slow.sizes[0], 1); // nothing is known yet
  EXPECT_NEAR(slow.sizes[1], 2.0 / 3, 0.01);
  EXPECT_NEAR(quick.weight, 4.0 / 3, 1e-9);
  EXPECT_GT(std::ranges::max(quick.sizes), 1.3);
}

} // namespace
} // namespace cleave
