// The ring of bytes between two ends, its bell, and how long one stays awake; executor_ring.hpp.
#include "executor_ring.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
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

TEST_F(RingOf64, ShowsInOnePieceWhatLiesRoundItsEnd) {
  std::array<std::byte, 40> room{};
  EXPECT_TRUE(ring_.whole_front(room).empty());
  for (std::size_t at = 0; at < 500; at += 37) {
    EXPECT_EQ(ring_.write(numbered(at, 37)), 37U);
    EXPECT_TRUE(std::ranges::equal(ring_.whole_front(std::span(room).first(20)), numbered(at, 20)));
    EXPECT_TRUE(std::ranges::equal(ring_.whole_front(room), numbered(at, 37)));
    ring_.consume(37);
  }
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

TEST_F(RingOf64, TellsOnceThatItHasWokenTheReader) {
  EXPECT_EQ(ring_.write(numbered(0, 1)), 1U);
  EXPECT_FALSE(ring_.woke()) << "it was awake";
  reader_.lie_down(sleeper);
  EXPECT_EQ(ring_.write(numbered(1, 1)), 1U);
  EXPECT_EQ(ring_.write(numbered(2, 1)), 1U);
  EXPECT_TRUE(ring_.woke());
  EXPECT_FALSE(ring_.woke());
}

TEST(Bell, WakesWhoHasLainDown) {
  Bell bell{};
  EXPECT_FALSE(bell.ring()) << "nobody sleeps";
  std::atomic<bool> ready = false;
  std::jthread other([&] {
    EXPECT_TRUE(wait_on(
        bell, sleeper, nullptr, false, Naps(1h, 1h), std::nullopt,
        [&](Naps&) { return ready.load(); }, [] {}));
  });
  while (bell.asleep.load() == 0)
    std::this_thread::yield();
  ready = true;
  EXPECT_TRUE(bell.ring());
}

/// Keeps this thread, and those that it starts, on one core.
class OneCore {
public:
  OneCore() {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
    if (sched_getaffinity(0, sizeof before_, &before_) != 0 ||
        sched_setaffinity(0, sizeof here, &here) != 0)
      throw std::runtime_error("threads cannot be bound here");
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;
  ~OneCore() { sched_setaffinity(0, sizeof before_, &before_); }

private:
  cpu_set_t before_{};
};

TEST(Bell, KnowsWhoseEndWasLastOnThisCore) {
  const OneCore core;
  Bell bell{};
  EXPECT_FALSE(bell.is_here()) << "nobody has said so";
  bell.be_here();
  EXPECT_TRUE(bell.is_here());
  ++bell.core;
  EXPECT_FALSE(bell.is_here());
}

TEST(Naps, StayAwakeForAsLongAsAsked) {
  Naps naps(longest_sleep);
  std::this_thread::sleep_for(2 * spin_time);
  EXPECT_FALSE(naps.awake());
  naps.stay_awake(1h);
  EXPECT_TRUE(naps.awake());
}

TEST(WaitOn, YieldsACoreThatBothEndsShare) {
  const OneCore core;
  std::array<Bell, 2> bells{};
  for (Bell& bell : bells)
    bell.be_here();
  constexpr int trips = 50;
  std::atomic<int> turn = 0;
  std::atomic<std::int64_t> looks = 0;
  const auto play = [&](std::size_t self) {
    Naps naps(1h);
    naps.stay_awake(1h);
    for (int trip = static_cast<int>(self); trip < 2 * trips; trip += 2) {
      wait_on(
          bells[self], sleeper, &bells[1 - self], true, naps, std::nullopt,
          [&](Naps&) { return ++looks, turn.load() == trip; }, [] {});
      ++turn;
    }
  };
  std::jthread other([&] { play(1); });
  play(0);
  other.join();
  EXPECT_LT(looks, 2 * trips * 1000) << "one spins through a time slice that the other needs";
}

} // namespace
} // namespace cleave::detail
