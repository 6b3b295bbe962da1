#include "cleave/chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>

namespace cleave {
namespace {

const std::vector<Schedule>& schedules() {
  static const std::vector<Schedule> all = {Schedule(), Schedule(Technique::cyclic),
                                            Schedule(Technique::cyclic, 7)};
  return all;
}

Part as_part(TaskRange tasks) {
  return {tasks.first, tasks.size()};
}

TEST(Workers, AreNumberedRankByRank) {
  const Workers workers({2, 1, 3});
  EXPECT_EQ(workers.count(), 6);
  EXPECT_EQ(workers.first_of(0), 0);
  EXPECT_EQ(workers.first_of(1), 2);
  EXPECT_EQ(workers.first_of(2), 3);
  EXPECT_EQ(workers.threads_of(0), 2);
  EXPECT_EQ(workers.threads_of(2), 3);
}

TEST(Chunks, GiveEveryTaskToOneWorker) {
  const Workers workers({2, 1, 3});
  for (const Schedule& schedule : schedules())
    for (const std::int64_t n : {0, 1, 5, 6, 100}) {
      const ChunkSequence sequence(n, workers.count(), schedule);
      std::vector<int> owner(static_cast<std::size_t>(n), -1);
      for (int rank = 0; rank < 3; ++rank) {
        Chunks chunks(sequence, workers.first_of(rank), workers.threads_of(rank));
        for (int thread = 0; thread < workers.threads_of(rank); ++thread)
          while (const auto chunk = chunks.next(thread))
            for (std::int64_t i = chunk->first; i < chunk->last; ++i) {
              EXPECT_EQ(owner[static_cast<std::size_t>(i)], -1);
              owner[static_cast<std::size_t>(i)] = workers.first_of(rank) + thread;
            }
      }
      // The same as the sequence says of each worker.
      std::vector<int> expected(static_cast<std::size_t>(n), -1);
      for (int worker = 0; worker < workers.count(); ++worker)
        for_chunks(sequence, worker, [&](TaskRange chunk) {
          std::fill(expected.begin() + chunk.first, expected.begin() + chunk.last, worker);
        });
      EXPECT_EQ(owner, expected);
    }
}

/// Tasks of [0, n) that three threads take together, each as often as it was taken.
std::vector<std::atomic<int>> taken(std::int64_t n, Chunks& chunks) {
  std::vector<std::atomic<int>> times(static_cast<std::size_t>(n));
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 3; ++thread)
    threads.emplace_back([&, thread] {
      while (const auto chunk = chunks.next(thread, {.weight = 1.0 + thread, .most = 1 + thread}))
        for (std::int64_t i = chunk->first; i < chunk->last; ++i)
          ++times[static_cast<std::size_t>(i)];
    });
  return threads.clear(), std::move(times);
}

TEST(Chunks, AreDrawnOnceByThreadsThatShareLanes) {
  for (const char* schedule : {"dynamic", "dynamic,7", "guided", "trapezoid,2", "factoring",
                               "weighted", "adaptive,3", "auto"})
    for (const std::int64_t n : {0, 1, 2, 1000, 100'000})
      for (const std::size_t count : {1U, 3U, 5U}) {
        std::vector<Lane> lanes(count);
        Chunks chunks(ChunkSequence(n, 3, Schedule::parse(schedule)), lanes, 1, 3);
        for (const std::atomic<int>& times : taken(n, chunks))
          EXPECT_EQ(times, 1) << schedule << " of " << n << ", lanes: " << count;
      }
}

/// The first tasks of all chunks that one thread draws.
std::vector<std::int64_t> firsts(Chunks& chunks, int thread) {
  std::vector<std::int64_t> all;
  while (const auto chunk = chunks.next(thread))
    all.push_back(chunk->first);
  return all;
}

TEST(Chunks, OfOneSizeComeFromTheOwnLaneThenFromTheOthers) {
  std::vector<Lane> lanes(2);
  Chunks chunks(ChunkSequence(250, 2, Schedule(Technique::dynamic, 2)), lanes, 0, 2);
  EXPECT_EQ(chunks.next(1), TaskRange(4, 6)); // groups of two: 125 chunks, 16 rounds, 2 lanes
  const std::vector<std::int64_t> all = firsts(chunks, 0);
  ASSERT_EQ(all.size(), 124U);
  const auto own = all.begin() + 63; // 0, 4, ..., 124 of the groups, the last one a single chunk
  EXPECT_TRUE(std::is_sorted(all.begin(), own));
  EXPECT_TRUE(std::is_sorted(own, all.end()));
  EXPECT_EQ(std::vector(all.begin(), all.begin() + 4), (std::vector<std::int64_t>{0, 2, 8, 10}));
  EXPECT_EQ(*own, 6);
  EXPECT_EQ(chunks.next(1), std::nullopt);
}

TEST(Chunks, AtTheEndOfTheLongestRangeStayWithinIt) {
  constexpr std::int64_t n = std::int64_t{1} << 62;
  std::vector<Lane> lanes(3);
  for (Lane& lane : lanes)
    lane.next = n / 3 - 200;
  Chunks chunks(ChunkSequence(n, 3, Schedule(Technique::dynamic)), lanes, 0, 3);
  std::vector<std::int64_t> all = firsts(chunks, 0);
  EXPECT_TRUE(firsts(chunks, 1).empty());
  std::ranges::sort(all);
  EXPECT_GT(all.size(), 500U);
  EXPECT_EQ(all.back(), n - 1);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
  constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();
  lanes = std::vector<Lane>(3); // by position from there on: numbers might leave 64 bits
  lanes.front().next = longest - 2;
  Chunks more(ChunkSequence(longest, 3, Schedule(Technique::dynamic)), lanes, 0, 3);
  EXPECT_EQ(firsts(more, 2), (std::vector<std::int64_t>{longest - 2, longest - 1}));
  lanes = std::vector<Lane>(3);
  Chunks whole(ChunkSequence(longest, 3, Schedule(Technique::dynamic, longest)), lanes, 0, 3);
  EXPECT_EQ(whole.next(1), TaskRange(0, longest));
  EXPECT_EQ(whole.next(0), std::nullopt);
}

TEST(Chunks, AreDrawnInTheOrderOfAList) {
  const std::vector<TaskRange> list = {{5, 10}, {0, 1}, {1, 5}};
  Lane lane;
  Chunks chunks(list, lane);
  for (const TaskRange& expected : list)
    EXPECT_EQ(chunks.next(0), expected);
  EXPECT_EQ(chunks.next(0), std::nullopt);
  EXPECT_EQ(chunks.next(1), std::nullopt);
}

TEST(Scratch, KeepsTheAlignmentOfACacheLinePair) {
  Scratch scratch;
  for (const std::size_t bytes : {1U, 1000U, 10U, 100'000U})
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch.get(bytes)) % 128, 0U);
}

/// Every worker copies its elements of root's array from a Feed to a Sink, one by one.
void check_copy(const Comm& comm, DataPath wanted, const Schedule& schedule, std::int64_t n) {
  const std::vector<int> threads(static_cast<std::size_t>(comm.size()), 2);
  const Workers workers(threads);
  const ChunkSequence sequence(n, workers.count(), schedule);
  WindowPool windows(comm);
  const Route route{comm, choose_path(comm, wanted), workers, sequence, windows, false};
  std::vector<std::int64_t> from(comm.is_root() ? static_cast<std::size_t>(n) : 0);
  std::iota(from.begin(), from.end(), 100);
  std::vector<std::int64_t> to(from.size(), -1);
  const auto address = [&](auto& vector) {
    const auto mine = comm.is_root() ? std::bit_cast<std::uint64_t>(vector.data()) : 0;
    return comm.agree({mine}).highest[0];
  };
  const std::uint64_t from_address = address(from);
  const std::uint64_t to_address = address(to);
  Feed feed(route, std::as_bytes(std::span(from)), from_address, n, 8, as_part);
  Sink sink(route, std::as_writable_bytes(std::span(to)), to_address, n, 8, as_part);
  Chunks chunks(sequence, workers.first_of(comm.rank()), 2);
  for (int thread = 0; thread < 2; ++thread)
    while (const auto chunk = chunks.next(thread)) {
      feed.enter(thread, *chunk);
      sink.enter(thread, *chunk);
      for (std::int64_t i = chunk->first; i < chunk->last; ++i) {
        std::memcpy(sink.place(thread, {i, 1}), feed.read(thread, {i, 1}), 8);
        sink.commit(thread, {i, 1});
      }
    }
  comm.barrier();
  sink.finish();
  EXPECT_EQ(to, from);
  if (route.path == DataPath::messages && !comm.is_root()) {
    std::int64_t own = 0;
    for (int worker = workers.first_of(comm.rank()); worker < workers.first_of(comm.rank() + 1);
         ++worker)
      for_chunks(sequence, worker, [&](TaskRange chunk) { own += chunk.size(); });
    EXPECT_EQ(feed.bytes_moved(), static_cast<std::uint64_t>(8 * own));
    EXPECT_EQ(sink.bytes_moved(), static_cast<std::uint64_t>(8 * own));
  } else {
    EXPECT_EQ(feed.bytes_moved() + sink.bytes_moved(), 0U);
  }
}

TEST(FeedAndSink, CarryEveryElementOnEveryPath) {
  for (const int ranks : {1, 2, 3})
    for (const int ranks_per_node : {0, 1, 2})
      for (const DataPath path : {DataPath::automatic, DataPath::window, DataPath::messages}) {
        CommOptions options;
        options.ranks_per_node = ranks_per_node;
        options.message_limit = 100;
        const int nodes = ranks_per_node == 0 ? 1 : (ranks + ranks_per_node - 1) / ranks_per_node;
        if (path == DataPath::window && nodes > 1)
          continue;
        Comm::in_process(
            ranks,
            [path](Comm& comm) {
              for (const Schedule& schedule : schedules())
                for (const std::int64_t n : {1, 5, 300})
                  check_copy(comm, path, schedule, n);
            },
            options);
      }
}

TEST(ChoosePath, SaysWhatItTakes) {
  Comm::in_process(3, [](Comm& comm) {
    EXPECT_EQ(choose_path(comm), DataPath::direct); // threads see each other's memory
    for (const DataPath path : {DataPath::direct, DataPath::window, DataPath::messages})
      EXPECT_EQ(choose_path(comm, path), path);
  });
  CommOptions two_nodes;
  two_nodes.ranks_per_node = 2;
  Comm::in_process(
      3,
      [](Comm& comm) {
        EXPECT_EQ(choose_path(comm), DataPath::messages);
        EXPECT_THROW((void)choose_path(comm, DataPath::direct), Error);
        EXPECT_THROW((void)choose_path(comm, DataPath::window), Error);
      },
      two_nodes);
  EXPECT_STREQ(name(DataPath::automatic), "automatic");
  EXPECT_STREQ(name(DataPath::direct), "direct");
  EXPECT_STREQ(name(DataPath::window), "window");
  EXPECT_STREQ(name(DataPath::messages), "messages");
}

TEST(WindowPool, GrowsAndKeepsWhatIsLargeEnough) {
  Comm::in_process(2, [](Comm& comm) {
    WindowPool windows(comm);
    const auto small = windows.get(WindowPool::inputs, 1000);
    EXPECT_EQ(small.size(), 1000U);
    EXPECT_EQ(windows.get(WindowPool::inputs, 10).data(), small.data());
    EXPECT_EQ(windows.get(WindowPool::inputs, 100'000).size(), 100'000U);
    EXPECT_NE(windows.get(WindowPool::results, 10).data(),
              windows.get(WindowPool::inputs, 10).data());
    comm.barrier();
  });
}

} // namespace
} // namespace cleave
