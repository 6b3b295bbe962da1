#include "cleave/timings.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

namespace cleave {
namespace {

constexpr std::size_t at(Phase phase) {
  return static_cast<std::size_t>(phase);
}

void wait_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

// XSUM_XXH3_testdata of the xxHash specification: the empty input with seed 0.
TEST(Checksum, IsXxh3) {
  EXPECT_EQ(checksum({}), 0x2D06800538D394C2U);
  const std::string_view text = "cleave";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(checksum(bytes), checksum(bytes));
  EXPECT_NE(checksum(bytes), checksum(bytes.first(5)));
  for (const std::size_t length : {0, 5, 65'536, 65'537, 1'000'000}) {
    const std::string text(length, 'x');
    std::istringstream stream(text);
    EXPECT_EQ(checksum(stream), checksum(std::as_bytes(std::span(text)))) << length;
  }
}

TEST(Hex16, PadsToSixteenDigits) {
  EXPECT_EQ(hex16(0), "0000000000000000");
  EXPECT_EQ(hex16(0xABC), "0000000000000abc");
  EXPECT_EQ(hex16(~std::uint64_t{0}), "ffffffffffffffff");
}

TEST(PhaseClock, ChargesEveryMomentToOnePhase) {
  PhaseClock clock;
  const std::int64_t origin = monotonic_ns();
  clock.restart(Phase::scatter, origin);
  const std::int64_t begun = monotonic_ns();
  clock.enter(Phase::compute);
  wait_ms(20);
  clock.enter(Phase::gather);
  wait_ms(5);
  clock.enter(Phase::compute);
  wait_ms(10);
  RankTimes times;
  const std::int64_t ended = monotonic_ns();
  clock.read(times);
  const std::int64_t after = monotonic_ns();

  EXPECT_GE(times.phase_time_s[at(Phase::compute)], 0.030);
  EXPECT_GE(times.phase_time_s[at(Phase::gather)], 0.005);
  EXPECT_EQ(times.phase_time_s[at(Phase::write)], 0);
  const double sum = std::accumulate(times.phase_time_s.begin(), times.phase_time_s.end(), 0.0);
  EXPECT_GE(sum, static_cast<double>(ended - begun) * 1e-9 - 1e-12);
  EXPECT_LE(sum, static_cast<double>(after - origin) * 1e-9 + 1e-12);
}

TEST(PhaseClock, KeepsTheFirstEntryOfAPhase) {
  PhaseClock clock;
  clock.restart(Phase::compute, monotonic_ns());
  wait_ms(5);
  clock.enter(Phase::gather);
  wait_ms(5);
  clock.enter(Phase::compute);
  EXPECT_EQ(clock.current(), Phase::compute);
  RankTimes times;
  clock.read(times);
  EXPECT_GE(times.phase_begin_s[at(Phase::compute)], 0);
  EXPECT_LT(times.phase_begin_s[at(Phase::compute)], times.phase_begin_s[at(Phase::gather)]);
  EXPECT_GE(times.phase_begin_s[at(Phase::gather)], 0.005);
  EXPECT_TRUE(std::isnan(times.phase_begin_s[at(Phase::write)]));
}

TEST(PhaseClock, RestartForgets) {
  PhaseClock clock;
  clock.restart(Phase::compute, monotonic_ns());
  wait_ms(5);
  clock.restart(Phase::setup, monotonic_ns());
  RankTimes times;
  clock.read(times);
  EXPECT_EQ(times.phase_time_s[at(Phase::compute)], 0);
  EXPECT_TRUE(std::isnan(times.phase_begin_s[at(Phase::compute)]));
}

TEST(PhaseClock, CanBeReadWhileAPhaseGoesOn) {
  PhaseClock clock;
  clock.restart(Phase::compute, monotonic_ns());
  RankTimes first;
  RankTimes second;
  clock.read(first);
  wait_ms(5);
  clock.read(second);
  EXPECT_GE(second.phase_time_s[at(Phase::compute)],
            first.phase_time_s[at(Phase::compute)] + 0.005);
}

TEST(MonotonicClock, NeverGoesBack) {
  std::int64_t last = monotonic_ns();
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t now = monotonic_ns();
    EXPECT_GE(now, last);
    last = now;
  }
}

} // namespace
} // namespace cleave
