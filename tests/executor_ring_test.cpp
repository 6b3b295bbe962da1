// The ring of bytes between two ends, its bell, and how long one stays awake; executor_ring.hpp.
#include "executor_ring.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace cleave::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t sleeper = 1;

std::vector<std::byte> numbered(std::size_t from, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>(from + i);
  return bytes;
}

class RingOf64 : public ::testing::Test {
protected:
  std::vector<std::byte> read(std::size_t most) {
    std::vector<std::byte> to(most);
    to.resize(ring_.read(to));
    return to;
  }

  Ring::Control control_{};
  std::array<std::byte, 64> bytes_{};
  Bell reader_{};
  Bell writer_{};
  Ring ring_{control_, bytes_, reader_, writer_};
};

TEST_F(RingOf64, GivesBytesInOrderRoundItsEnd) {
  for (std::size_t at = 0; at < 500; at += 37) {
    EXPECT_EQ(ring_.write(numbered(at, 37)), 37U);
    EXPECT_EQ(ring_.filled(), 37U);
    EXPECT_EQ(read(100), numbered(at, 37));
  }
  EXPECT_EQ(read(1), std::vector<std::byte>{});
}

TEST_F(RingOf64, TakesWhatThereIsRoomFor) {
  EXPECT_EQ(ring_.write(numbered(0, 100)), 64U);
  EXPECT_EQ(ring_.room(), 0U);
  EXPECT_EQ(read(10), numbered(0, 10));
  EXPECT_EQ(ring_.ask_room(), 10U);
}

TEST_F(RingOf64, WakesAWriterWhoHasAskedForRoom) {
  EXPECT_EQ(ring_.write(numbered(0, 64)), 64U);
  writer_.lie_down(sleeper);
  (void)read(1);
  EXPECT_EQ(writer_.rung.load(), 0U) << "it had not asked";
  EXPECT_EQ(ring_.write(numbered(64, 1)), 1U);
  EXPECT_EQ(ring_.ask_room(), 0U);
  (void)read(1);
  EXPECT_EQ(writer_.rung.load(), 1U);
}

TEST_F(RingOf64, TellsOnceWhichCoreTheReaderWasWokenFor) {
  EXPECT_EQ(ring_.write(numbered(0, 1)), 1U);
  EXPECT_EQ(ring_.woke(), no_core) << "it was awake";
  reader_.lie_down(sleeper);
  reader_.cpu = 5;
  EXPECT_EQ(ring_.write(numbered(1, 1)), 1U);
  EXPECT_EQ(ring_.write(numbered(2, 1)), 1U);
  EXPECT_EQ(ring_.woke(), 5);
  EXPECT_EQ(ring_.woke(), no_core);
}

TEST(Bell, WakesWhoHasLainDown) {
  Bell bell{};
  EXPECT_EQ(bell.ring(), no_core) << "nobody sleeps";
  std::atomic<bool> ready = false;
  std::jthread other([&] {
    EXPECT_TRUE(wait_on(
        bell, sleeper, false, Naps(1h, 1h), std::nullopt, [&](Naps&) { return ready.load(); },
        [] {}));
  });
  while (bell.asleep.load() == 0)
    std::this_thread::yield();
  ready = true;
  EXPECT_EQ(bell.ring(), bell.cpu.load());
}

TEST(AwaitWoken, StaysAwakeForWhoWasWokenAndYieldsTheCoreItNeeds) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t here;
  CPU_ZERO(&here);
  const int core = sched_getcpu();
  CPU_SET(static_cast<std::size_t>(core), &here);
  ASSERT_EQ(sched_setaffinity(0, sizeof here, &here), 0);
  Naps naps(longest_sleep);
  await_woken(naps, no_core, 1h);
  EXPECT_FALSE(naps.yields());
  std::this_thread::sleep_for(2 * spin_time);
  EXPECT_FALSE(naps.awake());
  await_woken(naps, core, 1h);
  EXPECT_TRUE(naps.yields());
  EXPECT_TRUE(naps.awake());
  await_woken(naps, core + 1, 1h);
  EXPECT_FALSE(naps.yields());
  EXPECT_TRUE(naps.awake());
  sched_setaffinity(0, sizeof before, &before);
}

} // namespace
} // namespace cleave::detail
