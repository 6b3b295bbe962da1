#include "cleave/timings.hpp"

#include "handle.hpp"

#include <xxhash.h>

#include <array>
#include <charconv>
#include <ctime>
#include <istream>
#include <new>

namespace cleave {
namespace {

double seconds(std::int64_t ns) {
  return static_cast<double>(ns) * 1e-9;
}

std::size_t index(Phase phase) {
  return static_cast<std::size_t>(phase);
}

struct StateTraits {
  using Value = XXH3_state_t*;
  static constexpr Value none = nullptr;
  static void close(Value state) noexcept { XXH3_freeState(state); }
};

} // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t checksum(std::istream& bytes) {
  const Handle<StateTraits> state(XXH3_createState());
  if (!state)
    throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  std::vector<char> block(std::size_t{1} << 16);
  while (bytes.read(block.data(), std::ssize(block)), bytes.gcount() > 0)
    XXH3_64bits_update(state.get(), block.data(), static_cast<std::size_t>(bytes.gcount()));
  return XXH3_64bits_digest(state.get());
}

std::string hex16(std::uint64_t value) {
  std::array<char, 16> digits;
  const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const auto used = static_cast<std::size_t>(end - digits.data());
  return std::string(digits.size() - used, '0').append(digits.data(), used);
}

std::int64_t monotonic_ns() noexcept {
  // steady_clock promises no relation between processes; CLOCK_MONOTONIC is one clock a machine.
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void PhaseClock::restart(Phase phase, std::int64_t origin_ns) noexcept {
  *this = {};
  current_ = phase;
  origin_ns_ = origin_ns;
  entered_ns_ = monotonic_ns();
  begin_ns_[index(phase)] = entered_ns_;
  seen_[index(phase)] = true;
}

void PhaseClock::enter(Phase phase) noexcept {
  const std::int64_t now = monotonic_ns();
  spent_ns_[index(current_)] += now - entered_ns_;
  entered_ns_ = now;
  current_ = phase;
  if (!seen_[index(phase)]) {
    seen_[index(phase)] = true;
    begin_ns_[index(phase)] = now;
  }
}

void PhaseClock::read(RankTimes& times) noexcept {
  enter(current_);
  for (std::size_t p = 0; p < phase_count; ++p) {
    times.phase_time_s[p] = seconds(spent_ns_[p]);
    times.phase_begin_s[p] = seen_[p] ? seconds(begin_ns_[p] - origin_ns_) : not_measured;
  }
}

} // namespace cleave
