#include "cleave/team.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>

namespace cleave {
namespace {

TEST(Team, RunsEveryMemberOnceInEveryRound) {
  for (const int threads : {1, 2, 5}) {
    Team team(threads);
    EXPECT_EQ(team.threads(), threads);
    std::vector<int> calls(static_cast<std::size_t>(threads));
    const int rounds = threads > 2 ? 1000 : 10'000; // a round wakes every member
    for (int round = 0; round < rounds; ++round)
      team.run([&calls](int member) { ++calls[static_cast<std::size_t>(member)]; });
    EXPECT_EQ(calls, std::vector<int>(static_cast<std::size_t>(threads), rounds));
  }
}

TEST(Team, RunsEachMemberOnAThreadOfItsOwn) {
  Team team(4);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::thread::id first;
  team.run([&](int member) {
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
    if (member == 0)
      first = std::this_thread::get_id();
  });
  EXPECT_EQ(threads.size(), 4U);
  EXPECT_EQ(first, std::this_thread::get_id()); // the caller is member 0
}

TEST(Team, ShowsTheMembersWhatWasWrittenBefore) {
  Team team(3);
  std::vector<int> numbers(1000);
  for (int round = 0; round < 500; ++round) {
    std::iota(numbers.begin(), numbers.end(), round);
    std::array<int, 3> sums{};
    team.run([&](int member) {
      sums[static_cast<std::size_t>(member)] = std::accumulate(numbers.begin(), numbers.end(), 0);
    });
    const int expected = 1000 * round + 499'500;
    EXPECT_EQ(sums, (std::array{expected, expected, expected}));
  }
}

TEST(Team, RethrowsTheExceptionOfTheLowestMemberAfterAllHaveEnded) {
  Team team(4);
  std::atomic<int> ended{0};
  std::string what;
  try {
    team.run([&](int member) {
      if (member == 1)
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ++ended;
      if (member % 2 == 1)
        throw std::runtime_error("member " + std::to_string(member));
    });
  } catch (const std::runtime_error& error) {
    what = error.what();
  }
  EXPECT_EQ(what, "member 1");
  EXPECT_EQ(ended, 4);
  // And works on.
  team.run([&](int) { ++ended; });
  EXPECT_EQ(ended, 8);
}

TEST(Team, KeepsExceptionsThatAreNoStandardOnes) {
  for (const int threads : {1, 3}) {
    Team team(threads);
    EXPECT_THROW(team.run([](int) { throw 42; }), int);
  }
}

TEST(Team, PinsItsMembers) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  int cpu = 0;
  while (!CPU_ISSET(static_cast<std::size_t>(cpu), &before))
    ++cpu;
  std::thread([cpu] { // so that the pinned caller is not this thread
    Team team(3, {cpu, cpu, cpu});
    team.run([cpu](int) {
      cpu_set_t mask;
      EXPECT_EQ(sched_getaffinity(0, sizeof mask, &mask), 0);
      EXPECT_EQ(CPU_COUNT(&mask), 1);
      EXPECT_TRUE(CPU_ISSET(static_cast<std::size_t>(cpu), &mask));
    });
  })
      .join();
}

TEST(Team, LeavesATeamOfOneWhereItIs) {
  std::thread([] {
    cpu_set_t before;
    cpu_set_t after;
    sched_getaffinity(0, sizeof before, &before);
    Team team(1, {0});
    sched_getaffinity(0, sizeof after, &after);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
  }).join();
}

TEST(Team, EndsWithoutEverHavingRun) {
  for (int time = 0; time < 100; ++time)
    Team team(3);
}

} // namespace
} // namespace cleave
