#include "bench/task.hpp"

namespace bench {

double cheap(double x) noexcept {
  return 1.5 * x + 0.25;
}

double steps(std::int64_t index, std::int64_t steps) noexcept {
  double x = 1.0 + 1e-9 * static_cast<double>(index);
  for (std::int64_t i = 0; i < steps; ++i)
    x = x * 1.0000001 + 1e-12;
  return x;
}

} // namespace bench
