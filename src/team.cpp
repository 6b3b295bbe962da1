#include "cleave/team.hpp"

#include "cleave/error.hpp"

#include <pthread.h>
#include <sched.h>

#include <string>
#include <system_error>

namespace cleave {
namespace {

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  // Refusal costs speed alone: the mask may have shrunk since it was read.
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

} // namespace

Team::Team(int threads, const std::vector<int>& cpus) {
  failures_.resize(static_cast<std::size_t>(threads));
  if (threads > 1 && !cpus.empty()) {
    pinned_ = true;
    pthread_getaffinity_np(pthread_self(), sizeof before_, &before_);
    pin(cpus.front());
  }
  try {
    for (int member = 1; member < threads; ++member)
      members_.emplace_back(
          [this, member, cpu = cpus.empty() ? -1 : cpus[static_cast<std::size_t>(member)]] {
            if (cpu >= 0)
              pin(cpu);
            serve(member);
          });
  } catch (const std::system_error& error) {
    dismiss(); // those that have started
    throw Error(ErrorKind::bad_input,
                "cannot start " + std::to_string(threads) + " threads: " + error.what());
  }
}

Team::~Team() {
  dismiss();
}

void Team::dismiss() noexcept {
  ending_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  if (pinned_) // the thread outlives its team
    pthread_setaffinity_np(pthread_self(), sizeof before_, &before_);
}

void Team::attempt(int member) noexcept {
  try {
    (*work_)(member);
  } catch (...) {
    failures_[static_cast<std::size_t>(member)] = std::current_exception();
  }
}

void Team::serve(int member) {
  std::uint32_t seen = 0;
  while (true) {
    round_.wait(seen, std::memory_order_acquire);
    ++seen;
    if (ending_)
      return;
    attempt(member);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      busy_.notify_one();
  }
}

void Team::run(const std::function<void(int)>& work) {
  work_ = &work;
  busy_.store(static_cast<std::uint32_t>(members_.size()), std::memory_order_relaxed);
  if (!members_.empty()) {
    round_.fetch_add(1, std::memory_order_release); // publishes work_ and busy_
    round_.notify_all();
  }
  attempt(0);
  for (std::uint32_t left = busy_.load(std::memory_order_acquire); left != 0;
       left = busy_.load(std::memory_order_acquire))
    busy_.wait(left, std::memory_order_acquire);
  std::exception_ptr first;
  for (std::exception_ptr& failure : failures_) {
    if (failure && !first)
      first = failure;
    failure = nullptr;
  }
  if (first)
    std::rethrow_exception(first);
}

} // namespace cleave
