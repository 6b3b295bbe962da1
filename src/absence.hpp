/// @file
/// Whom a rank waits for, told while it waits: a silent wait looks like a hang.
#pragma once

#include "cleave/comm.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace cleave {

/// A rank as messages name it.
[[nodiscard]] inline std::string rank_name(int rank, const std::string& host, std::int64_t pid) {
  return "rank " + std::to_string(rank) + " (host " + host + ", pid " + std::to_string(pid) + ")";
}
[[nodiscard]] inline std::string rank_name(const Comm& comm, int rank) {
  return rank_name(rank, comm.host_of(rank), comm.pid_of(rank));
}

/// Names whom one rank waits for, by CommOptions::on_absent, once per patience at most.
class Absence {
public:
  using Clock = std::chrono::steady_clock;

  /// @param waiting the name of this rank
  Absence(const CommOptions& options, std::string waiting)
      : patience_(options.patience_s), on_absent_(options.on_absent), waiting_(std::move(waiting)) {
  }

  /// Whether it is time to name, at `now`, who has been waited for since then.
  [[nodiscard]] bool due(Clock::time_point since, Clock::time_point now) const noexcept {
    return now - std::max(since, named_) >= patience_;
  }
  /// Names absent(), waited for since then, if it is time to.
  void look(Clock::time_point since, const std::function<std::string()>& absent) {
    const auto now = Clock::now();
    if (!due(since, now))
      return;
    named_ = now;
    const auto waited_s = std::chrono::duration_cast<std::chrono::seconds>(now - since).count();
    if (on_absent_)
      on_absent_(waiting_ + " has waited " + std::to_string(waited_s) + " s for " + absent());
  }

private:
  std::chrono::duration<double> patience_;
  std::function<void(const std::string&)> on_absent_;
  std::string waiting_;
  Clock::time_point named_{};
};

} // namespace cleave
