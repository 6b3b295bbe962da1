#include "job_end.hpp"

#include "cleave/slurm.hpp"

#include <chrono>
#include <cstdlib>
#include <limits>

namespace cleave::app {

using namespace std::chrono_literals;

JobEnd::JobEnd(bool ask) {
  if (ask && std::getenv("SLURM_JOB_ID") != nullptr)
    asker_ = std::jthread([this](const std::stop_token& token) { ask_again(token); });
}

void JobEnd::ask_again(const std::stop_token& token) {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    if (const auto end_s = slurm_job_end(2s)) // else what was known before
      end_s_.store(*end_s);
    lock.lock();
    ending_.wait_for(lock, token, 60s, [] { return false; });
  } while (!token.stop_requested());
}

double JobEnd::seconds_left() const noexcept {
  const std::int64_t end_s = end_s_.load();
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return end_s == 0 ? std::numeric_limits<double>::infinity()
                    : static_cast<double>(end_s) - now.count();
}

} // namespace cleave::app
