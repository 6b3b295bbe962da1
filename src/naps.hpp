/// @file
/// Waiting for what cannot wake us, such as messages: short sleeps that grow.
#pragma once

#include <algorithm>
#include <chrono>

namespace cleave {

/// How long to sleep between two looks.
class Naps {
public:
  using Clock = std::chrono::steady_clock;
  /// Something has come: stay awake for 50 us.
  void restart() noexcept { *this = {}; }
  [[nodiscard]] bool awake() const noexcept {
    return Clock::now() - since_ < std::chrono::microseconds(50);
  }
  /// The end of the next nap: from 20 us to 1 ms.
  [[nodiscard]] Clock::time_point next() noexcept {
    const auto nap = nap_;
    nap_ = std::min(2 * nap_, std::chrono::microseconds(1000));
    return Clock::now() + nap;
  }

private:
  Clock::time_point since_ = Clock::now();
  std::chrono::microseconds nap_{20};
};

} // namespace cleave
