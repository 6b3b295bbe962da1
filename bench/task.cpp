#include "bench/task.hpp"

#include "bench/bench.hpp"

#include <algorithm>
#include <limits>

namespace bench {
namespace {

/// Waits until all that came before is done.
void drain() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

} // namespace

double cheap(double x) noexcept {
  return 1.5 * x + 0.25;
}

double steps(std::int64_t index, std::int64_t steps) noexcept {
  drain();
  double x = 1.0 + 1e-9 * static_cast<double>(index);
  for (std::int64_t i = 0; i < steps; ++i)
    x = x * 1.0000001 + 1e-12;
  return x;
}

double measured_ns_a_step() {
  constexpr std::int64_t many = 1'000'000;
  volatile double used = 0; // else nothing would be computed
  double shortest = std::numeric_limits<double>::max();
  for (int repetition = 0; repetition < 20; ++repetition)
    shortest = std::min(shortest, timed([&used] { used = steps(1, many); })());
  return shortest * 1e9 / static_cast<double>(many);
}

} // namespace bench
