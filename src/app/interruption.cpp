#include "interruption.hpp"

#include <semaphore.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>

namespace cleave::app {
namespace {

using namespace std::chrono_literals;

// mpirun kills one second after it has passed SIGTERM on. The others leave root time to speak: when
// they end, mpirun ends root.
constexpr auto grace = 500ms;
constexpr auto grace_of_others = 700ms;

constexpr std::array signals = {SIGINT, SIGTERM, SIGUSR1};

// A handler can reach nothing else.
std::atomic<bool> has_come = false;
sem_t news;

extern "C" void note_signal(int number) {
  has_come.store(true);
  if (number != SIGUSR1)
    sem_post(&news);
}

} // namespace

Interruption::Interruption(bool is_root, std::function<void(const Error&)> tell)
    : is_root_(is_root), tell_(std::move(tell)) {
  sem_init(&news, 0, 0);
  for (const int number : signals) {
    struct sigaction before {};
    struct sigaction action {};
    action.sa_handler = note_signal;
    // A second one kills, but for SIGUSR1, which schedulers may send again.
    action.sa_flags = SA_RESTART | (number == SIGUSR1 ? 0 : static_cast<int>(SA_RESETHAND));
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN)
      sigaction(number, &action, nullptr);
  }
  try {
    watcher_ = std::jthread([this] { wait(); });
  } catch (const std::system_error&) {
    // Without one, a signal is noticed between tasks.
  }
}

Interruption::~Interruption() {
  disarm();
  sem_post(&news);
}

void Interruption::expect() noexcept {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  struct sigaction before {};
  sigaction(SIGUSR1, nullptr, &before);
  if (before.sa_handler != SIG_IGN)
    sigaction(SIGUSR1, &action, nullptr);
}

bool Interruption::requested() noexcept {
  return has_come.load();
}

void Interruption::keep(const Kept& kept) {
  const std::lock_guard lock(mutex_);
  kept_ = kept;
}

void Interruption::watch(const Comm& comm) {
  const std::lock_guard lock(mutex_);
  comm_ = &comm;
}

void Interruption::blame(const Error& failure) {
  const std::lock_guard lock(mutex_);
  failure_ = failure;
}

void Interruption::disarm() {
  const std::lock_guard lock(mutex_);
  disarmed_ = true;
  disarming_.notify_one();
}

void Interruption::tell_end() const {
  const std::optional<Error> gone = comm_ != nullptr ? comm_->left() : std::nullopt;
  if (gone && !comm_->left_silently())
    return; // that rank tells
  const Error end = kept_.interruption();
  const std::optional<Error>& why = failure_ ? failure_ : gone;
  tell_(why ? Error(why->kind(), why->message() + "; " + end.message(), end.place()) : end);
}

void Interruption::wait() {
  while (sem_wait(&news) != 0) { // until it is not for a signal that it returned
  }
  std::unique_lock lock(mutex_);
  if (disarming_.wait_for(lock, is_root_ ? grace : grace_of_others, [this] { return disarmed_; }))
    return;
  if (kept_.save)
    kept_.save();
  if (is_root_)
    tell_end();
  std::error_code ignored;
  std::filesystem::remove(kept_.progress, ignored);
  _exit(exit_status(ErrorKind::interrupted)); // with the lock held: nobody tells anything else
}

} // namespace cleave::app
