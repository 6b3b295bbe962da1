#include "watchdog.hpp"

#include "cleave/error.hpp"
#include "words.hpp"

#include <execinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>

namespace cleave::detail {
namespace {

using namespace std::chrono_literals;
using Time = Watch::Clock::time_point;

constexpr auto shortest_grace = 1s;
constexpr auto longest_answer = 1s;  // a thread may have its signals blocked
constexpr int stack_signal = SIGURG; // does nothing where nobody handles it, even if it comes late
constexpr int own_frames = 2;        // the handler, and what calls it

// A handler can reach nothing else.
std::array<void*, 64> frames;
std::atomic<int> depth = 0;

extern "C" void note_stack(int /*number*/) {
  depth.store(backtrace(frames.data(), static_cast<int>(frames.size())));
}

/// "program(_ZN6cleave4main+0x1f) [0x...]" with the name as people write it.
std::string readable(const std::string& frame) {
  const auto open = frame.find('(');
  const auto plus = frame.find('+', open);
  if (open == std::string::npos || plus == std::string::npos || plus == open + 1)
    return frame;
  return demangled(frame.substr(open + 1, plus - open - 1).c_str()) + " in " +
         frame.substr(0, open);
}

std::string noted_stack() {
  const int count = depth.load();
  const std::unique_ptr<char*, void (*)(void*)> symbols(backtrace_symbols(frames.data(), count),
                                                        std::free);
  std::string text;
  for (int i = own_frames; symbols && i < count; ++i)
    text += "\n  " + readable(symbols.get()[i]);
  return text;
}

std::string stack_of(pid_t thread) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = note_stack;
  action.sa_flags = SA_RESTART;
  sigaction(stack_signal, &action, &before);
  depth.store(0);
  tgkill(getpid(), thread, stack_signal); // unlike pthread_kill, where it has just ended too
  const auto deadline = Watch::Clock::now() + longest_answer;
  while (depth.load() == 0 && Watch::Clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  sigaction(stack_signal, &before, nullptr);
  return depth.load() == 0 ? "\n  (its thread does not answer signals)" : noted_stack();
}

/// When a task with this deadline is stuck.
Time stuck_at(Time deadline, std::chrono::nanoseconds timeout) {
  if (deadline == Time::max())
    return deadline;
  return deadline + std::max<std::chrono::nanoseconds>(timeout, shortest_grace);
}

} // namespace

Watchdog::Watchdog(std::span<const Watch> watches, std::function<void(const StuckTask&)> report)
    : watches_(watches), report_(std::move(report)) {
  void* frame = nullptr;
  backtrace(&frame, 1); // loads what the handler needs
  try {
    watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::bad_input,
                std::string("cannot start the thread that watches time-outs: ") + error.what());
  }
}

void Watchdog::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    ending_.wait_until(lock, stop, next_look(), [] { return false; });
    if (const std::optional<StuckTask> stuck = stuck_task())
      return report_(*stuck);
  }
}

/// No task can be stuck before.
Watch::Clock::time_point Watchdog::next_look() const {
  Time first = Watch::Clock::now() + shortest_grace; // of a task that begins now
  for (const Watch& watch : watches_)
    first = std::min(first, stuck_at(watch.deadline(), watch.timeout()));
  return first;
}

std::optional<StuckTask> Watchdog::stuck_task() const {
  for (std::size_t thread = 0; thread < watches_.size(); ++thread) {
    const Watch& watch = watches_[thread];
    const auto deadline = watch.deadline();
    if (Watch::Clock::now() < stuck_at(deadline, watch.timeout()))
      continue;
    StuckTask stuck{static_cast<int>(thread), watch.task(), watch.timeout_text(),
                    stack_of(watch.thread())};
    if (watch.deadline() == deadline) // else it has ended just now
      return stuck;
  }
  return std::nullopt;
}

} // namespace cleave::detail
