#include "job_end.hpp"

#include "cleave/slurm.hpp"

#include <cstdlib>
#include <limits>

namespace cleave::app {

using namespace std::chrono_literals;

JobEnd::JobEnd(bool ask) {
  if (ask && std::getenv("SLURM_JOB_ID") != nullptr)
    asker_ = std::jthread([this](const std::stop_token& token) { ask_again(token); });
}

void JobEnd::ask_again(const std::stop_token& token) {
  std::int64_t told_s = 0; // since 1970
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    const auto end_s = slurm_job_end(2s); // else what was known before
    if (end_s && *end_s != told_s) {      // told again, it is no later for a clock that was set
      told_s = *end_s;
      const std::chrono::sys_seconds end{std::chrono::seconds(told_s)};
      end_.store(Clock::now() + (end - std::chrono::system_clock::now()));
    }
    lock.lock();
    ending_.wait_for(lock, token, 60s, [] { return false; });
  } while (!token.stop_requested());
}

double JobEnd::seconds_left() const noexcept {
  const Clock::time_point end = end_.load();
  return end == Clock::time_point::max()
             ? std::numeric_limits<double>::infinity()
             : std::chrono::duration<double>(end - Clock::now()).count();
}

} // namespace cleave::app
