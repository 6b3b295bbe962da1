#include "cleave/supply.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace cleave {
namespace {

/// Zero-initialised, as memory that a node shares is.
std::unique_ptr<NodeQueue> fresh_queue() {
  return std::make_unique<NodeQueue>();
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
  NodeQueue::Share share;
  const auto draw = [&] { return queue->draw(whole, 2, {}, false, share); };
  EXPECT_EQ(draw(), (TaskRange{10, 13}));
  EXPECT_EQ(draw(), (TaskRange{13, 15}));
  EXPECT_EQ(queue->left(), 1);
  EXPECT_EQ(draw(), (TaskRange{40, 41}));
  EXPECT_EQ(draw(), std::nullopt);
  queue->reset();
  EXPECT_TRUE(queue->has_room());
  EXPECT_EQ(queue->left(), 0);
}

TEST(NodeQueue, KnowsWhatIsDoneOfASuperChunk) {
  const auto queue = fresh_queue();
  const ChunkSequence whole(100, 2, Schedule::parse("dynamic,4"));
  constexpr std::uint32_t turns = 2 * NodeQueue::counts;
  constexpr std::int64_t size = 6; // two chunks
  NodeQueue::Share first;
  NodeQueue::Share second;
  for (std::uint32_t turn = 0; turn < turns; ++turn) {
    queue->grant({turn * size, (turn + 1) * size});
    EXPECT_EQ(queue->done(turn), 0) << turn;
    ASSERT_TRUE(queue->draw(whole, 1, {}, false, first));
    ASSERT_TRUE(queue->draw(whole, 1, {}, false, second));
    EXPECT_EQ(queue->done(turn), 0) << "a worker tells when it draws from another one";
    EXPECT_EQ(queue->done(), turn * size);
    if (turn > 0) {
      EXPECT_EQ(queue->done(turn - 1), size);
    }
  }
  queue->end();
  EXPECT_EQ(queue->draw(whole, 1, {}, false, second), std::nullopt);
  EXPECT_EQ(queue->done(turns - 1), size - 4);
  EXPECT_EQ(queue->draw(whole, 1, {}, false, first), std::nullopt);
  EXPECT_EQ(queue->done(turns - 1), size);
  EXPECT_EQ(queue->done(), turns * size);
}

TEST(NodeQueue, TellsWhatIsDoneBeforeItWaits) {
  const auto queue = fresh_queue();
  const ChunkSequence whole(100, 2, Schedule::parse("dynamic"));
  queue->grant({0, 1});
  NodeQueue::Share share;
  ASSERT_TRUE(queue->draw(whole, 1, {}, false, share));
  const std::jthread worker([&] { EXPECT_FALSE(queue->draw(whole, 1, {}, false, share)); });
  while (queue->done(0) == 0)
    std::this_thread::yield();
  queue->end();
}

TEST(NodeQueue, GivesUpWhenWhoGrantsIsLost) {
  const auto queue = fresh_queue();
  const ChunkSequence whole(100, 2, Schedule::parse("dynamic"));
  NodeQueue::Share share;
  int asked = 0;
  const auto lost = [&asked] { return ++asked == 2; };
  EXPECT_EQ(queue->draw(whole, 1, {}, false, share, lost), std::nullopt);
  EXPECT_EQ(asked, 2);
  EXPECT_TRUE(queue->given_up());
}

TEST(NodeQueue, LosesNothingThatIsGrantedJustBeforeItsEnd) {
  const ChunkSequence whole(100, 2, Schedule::parse("dynamic"));
  const auto queue = fresh_queue();
  // Where others have the cores, a turn waits for them; on idle ones all take a second.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (int turn = 0; turn < 10'000 && std::chrono::steady_clock::now() < end; ++turn) {
    queue->reset();
    std::atomic<std::int64_t> drawn{0};
    {
      const std::jthread worker([&] {
        NodeQueue::Share share;
        while (queue->draw(whole, 1, {}, true, share))
          ++drawn;
      });
      queue->grant({0, 1});
      while (drawn == 0) { // then it looks for more
      }
      for (std::atomic<int> delay{turn % 100}; delay > 0; --delay) {
      }
      queue->grant({1, 2});
      queue->end();
    }
    ASSERT_EQ(drawn, 2);
  }
}

TEST(NodeQueue, EveryTaskIsDrawnOnceAndAscendsOnEachWorker) {
  constexpr int workers = 4;
  constexpr std::int64_t tasks = 20'000;
  for (const char* schedule : {"dynamic", "dynamic,7", "guided", "factoring", "adaptive", "auto"}) {
    const ChunkSequence whole(2 * tasks, std::int64_t{2} * workers, Schedule::parse(schedule));
    const auto queue = fresh_queue();
    std::vector<std::vector<TaskRange>> drawn(workers);
    {
      std::vector<std::jthread> threads;
      for (std::vector<TaskRange>& own : drawn)
        threads.emplace_back([&] {
          NodeQueue::Share share;
          while (const auto chunk =
                     queue->draw(whole, workers, {.weight = 1, .most = 5}, true, share))
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

/// A call on nodes of two workers each, of tasks whose results are `bytes` long.
struct Call {
  std::int64_t tasks;
  std::size_t bytes;
  std::vector<TaskRange> list{};
  std::int64_t fails = -1; // the task that ends it; those after it wait for that
  // Root's tasks last, and the first one of each other node, until so many are done there; it gets
  // them one at a time.
  std::int64_t waits_for = 0;
};

/// What task i leaves in all of its bytes.
std::byte value_of(std::int64_t task) {
  return static_cast<std::byte>(task % 251 + 1);
}

/// A node's part in it.
class NodeOfCall {
public:
  NodeOfCall(const Call& call, Comm& comm, std::span<std::byte> at_root,
             std::atomic<std::int64_t>& elsewhere)
      : call_(call), elsewhere_(elsewhere), is_root_(comm.is_root()),
        own_(comm.is_root() ? 0 : at_root.size()), here_(comm.is_root() ? at_root : own_),
        supply_(comm, speeds(comm, call),
                {call.tasks, std::int64_t{2} * comm.nodes(), Schedule::parse("dynamic,3")},
                call.list, *queue_,
                {.done = [&] { return call.waits_for > 0 ? 0 : done_.load(); }, // rates unknown
                 .stopped = [&] { return stopped_.load(); },
                 .stop = [&] { stopped_ = true; }}) {
    supply_.take_back({comm.is_root() ? at_root : std::span<std::byte>(), here_,
                       static_cast<std::int64_t>(call.bytes), [](TaskRange tasks) {
                         return Part{tasks.first, tasks.size()};
                       }});
  }

  void run() {
    const std::jthread service([&] { supply_.run(); });
    const std::jthread other([&] { work(); });
    work();
  }

private:
  static std::vector<Supply::Node> speeds(const Comm& comm, const Call& call) {
    std::vector<Supply::Node> nodes(static_cast<std::size_t>(comm.nodes()), {2, 1.0});
    if (call.waits_for > 0)
      nodes.front().speed = 1e9; // root's: the others get a task at a time
    return nodes;
  }

  void work() {
    NodeQueue::Share share;
    while (const auto chunk = supply_.draw(share, {})) {
      const bool waits = first_.exchange(false) || is_root_;
      for (std::int64_t i = chunk->first; i < chunk->last; ++i) {
        while (waits && elsewhere_ < call_.waits_for)
          std::this_thread::yield();
        while (call_.fails >= 0 && i > call_.fails && !stopped_)
          std::this_thread::yield();
        if (stopped_)
          break;
        std::fill_n(here_.begin() + i * static_cast<std::ptrdiff_t>(call_.bytes), call_.bytes,
                    value_of(i));
        if (i == call_.fails)
          stopped_ = true;
      }
      done_ += chunk->size();
      if (!is_root_)
        elsewhere_ += chunk->size();
    }
  }

  const Call& call_;
  std::atomic<std::int64_t>& elsewhere_; // done on other nodes than root's
  bool is_root_;
  std::atomic<bool> first_{true};
  std::unique_ptr<NodeQueue> queue_ = fresh_queue();
  std::atomic<std::int64_t> done_{0};
  std::atomic<bool> stopped_{false};
  std::vector<std::byte> own_;
  std::span<std::byte> here_;
  Supply supply_;
};

/// @return root's results, as they are when nothing but the supply has moved them
std::vector<std::byte> results_of(const Call& call, int nodes) {
  std::vector<std::byte> at_root(static_cast<std::size_t>(call.tasks) * call.bytes);
  std::atomic<std::int64_t> elsewhere{0};
  CommOptions options;
  options.ranks_per_node = 1;
  Comm::in_process(
      nodes, [&](Comm& comm) { NodeOfCall(call, comm, at_root, elsewhere).run(); }, options);
  return at_root;
}

void expect_whole(const Call& call, int nodes) {
  const std::vector<std::byte> results = results_of(call, nodes);
  for (std::int64_t i = 0; i < call.tasks; ++i) {
    const auto first = results.begin() + i * static_cast<std::ptrdiff_t>(call.bytes);
    const auto last = first + static_cast<std::ptrdiff_t>(call.bytes);
    if (std::count(first, last, value_of(i)) != std::ssize(std::span(first, last)))
      return ADD_FAILURE() << nodes << " nodes: task " << i << " of " << call.tasks
                           << ", results of " << call.bytes << " bytes";
  }
}

TEST(Supply, TakesResultsBackAsSuperChunksAreDone) {
  for (const int nodes : {1, 2, 3, 5}) {
    expect_whole({.tasks = 20'000, .bytes = 1}, nodes);
    expect_whole({.tasks = 300, .bytes = 30'000}, nodes); // in several pieces
    expect_whole({.tasks = 3, .bytes = 2'500'000}, nodes);
    std::vector<TaskRange> backwards;
    for (std::int64_t last = 5'000; last > 0; last = last / 2 * 2 - 2)
      backwards.push_back({last / 2 * 2 - 2, last});
    expect_whole({.tasks = 5'000, .bytes = 8, .list = backwards}, nodes);
  }
}

TEST(Supply, KnowsWhatIsDoneWhenOneTaskLastsThroughManySuperChunks) {
  static_assert(400 > NodeQueue::counts);
  expect_whole({.tasks = 2'000, .bytes = 16, .waits_for = 400}, 2);
}

/// What has come is right, and where it belongs; nothing is of a task after the one that failed.
TEST(Supply, EndsWhereACallFails) {
  for (const int nodes : {1, 2, 4})
    for (const std::int64_t fails : {0, 100, 999}) {
      const Call call{.tasks = 1'000, .bytes = 5'000, .fails = fails};
      const std::vector<std::byte> results = results_of(call, nodes);
      std::int64_t wrong = 0;
      for (std::size_t at = 0; at < results.size(); ++at) {
        const auto task = static_cast<std::int64_t>(at / call.bytes);
        const bool right = task <= fails && results[at] == value_of(task);
        wrong += results[at] != std::byte{} && !right ? 1 : 0;
      }
      EXPECT_EQ(wrong, 0) << nodes << " nodes, task " << fails << " fails";
    }
}

} // namespace
} // namespace cleave
