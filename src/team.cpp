#include "cleave/team.hpp"

#include "cleave/error.hpp"
#include "waiting.hpp"

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

Team::Team(int threads, const std::vector<int>& cpus, bool spin) : spin_(spin) {
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
  ++round_;
  wake(round_, resting_);
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
    while (round_ == seen)
      wait_while(round_, seen, resting_, spin_);
    ++seen;
    if (ending_)
      return;
    attempt(member);
    if (--busy_ == 0)
      wake(busy_, awaiting_);
  }
}

void Team::run(const std::function<void(int)>& work) {
  work_ = &work;
  busy_ = static_cast<std::uint32_t>(members_.size());
  if (!members_.empty()) {
    ++round_; // publishes work_ and busy_
    wake(round_, resting_);
  }
  attempt(0);
  for (std::uint32_t left = busy_; left != 0; left = busy_)
    wait_while(busy_, left, awaiting_, spin_);
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
