#include "cleave/worker.hpp"

#include <Random123/philox.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace cleave {
namespace {

std::uint32_t low(std::uint64_t x) {
  return static_cast<std::uint32_t>(x);
}
std::uint32_t high(std::uint64_t x) {
  return static_cast<std::uint32_t>(x >> 32);
}

} // namespace

// The counter holds task (64 bits), call (32) and block (32); the key is the seed.
RandomStream::RandomStream(std::uint64_t seed, std::uint32_t call, std::uint64_t task) noexcept
    : key_{low(seed), high(seed)}, counter_{0, call, low(task), high(task)} {}

RandomStream::result_type RandomStream::operator()() noexcept {
  if (used_ == 4) {
    using Philox = r123::Philox4x32;
    const auto [a, b, c, d] = counter_;
    const Philox::ctr_type drawn = Philox()({{a, b, c, d}}, {{key_[0], key_[1]}});
    std::ranges::copy(drawn.v, block_.begin());
    ++counter_[0];
    used_ = 0;
  }
  const auto word = static_cast<std::size_t>(used_);
  used_ += 2;
  return std::uint64_t{block_[word + 1]} << 32 | block_[word];
}

namespace detail {

void Watch::time_out_after(std::chrono::duration<double> timeout) noexcept {
  constexpr std::chrono::duration<double> longest = std::chrono::hours(24 * 365);
  timeout_ = std::chrono::duration_cast<std::chrono::nanoseconds>(std::min(timeout, longest));
}

void Watch::begin(std::int64_t task) noexcept {
  thread_local const pid_t own = gettid();
  thread_.store(own);
  task_.store(task);
  deadline_.store(Clock::now() + timeout());
}

std::string Watch::timeout_text() const {
  std::ostringstream text;
  text << std::chrono::duration<double>(timeout()).count() << " s";
  return text.str();
}

} // namespace detail
} // namespace cleave
