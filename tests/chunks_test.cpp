#include "cleave/chunks.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <cstring>
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
      std::int64_t last = 0;
      while (const auto chunk = chunks.next(thread, {.weight = 1.0 + thread, .most = 1 + thread})) {
        EXPECT_GE(chunk->first, last);
        last = chunk->last;
        for (std::int64_t i = chunk->first; i < chunk->last; ++i)
          ++times[static_cast<std::size_t>(i)];
      }
    });
  return threads.clear(), std::move(times);
}

TEST(Chunks, AreDrawnOnceByThreadsThatShareACounter) {
  for (const char* schedule : {"dynamic", "dynamic,7", "guided", "trapezoid,2", "factoring",
                               "weighted", "adaptive,3", "auto"})
    for (const std::int64_t n : {0, 1, 2, 1000, 100'000}) {
      std::atomic<std::int64_t> next{0};
      Chunks chunks(ChunkSequence(n, 3, Schedule::parse(schedule)), next);
      for (const std::atomic<int>& times : taken(n, chunks))
        EXPECT_EQ(times, 1) << schedule << " of " << n;
    }
}

TEST(Chunks, AreDrawnInTheOrderOfAList) {
  const std::vector<TaskRange> list = {{5, 10}, {0, 1}, {1, 5}};
  std::atomic<std::int64_t> next{0};
  Chunks chunks(list, next);
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
