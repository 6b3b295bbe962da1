/// @file
/// What a task may ask of the worker that runs it: who it is, state of its own, random numbers.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>

namespace cleave {

/// A counter-based random stream (Philox4x32-10, Salmon et al., SC'11, doi:10.1145/2063384.2063405)
/// keyed by seed, call number and task: its numbers do not depend on the layout, and no two calls
/// or tasks share any. A UniformRandomBitGenerator of 64 bits; repeats after 2^33 numbers.
class RandomStream {
public:
  using result_type = std::uint64_t;

  RandomStream(std::uint64_t seed, std::uint32_t call, std::uint64_t task) noexcept;
  [[nodiscard]] static constexpr result_type min() noexcept { return 0; }
  [[nodiscard]] static constexpr result_type max() noexcept {
    return std::numeric_limits<result_type>::max();
  }
  result_type operator()() noexcept;
  /// Uniform in [0, 1), 53 bits.
  double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4; // 32-bit words of block_ already handed out
};

/// What a task that took longer than its time-out has failed by, whatever it threw or returned.
class TimedOut : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// The task that one worker is at, and when its time is over: written by the worker alone, read by
/// the watchdog of its rank too.
class alignas(128) Watch {
public:
  using Clock = std::chrono::steady_clock;

  /// Of the tasks to come; a year at most. To be called by the worker, or while it has no task.
  void time_out_after(std::chrono::duration<double> timeout) noexcept;
  void begin(std::int64_t task) noexcept;
  void end() noexcept { deadline_.store(Clock::time_point::max()); }
  [[nodiscard]] bool late() const noexcept { return Clock::now() > deadline(); }
  /// When the current task's time is over; never while there is none.
  [[nodiscard]] Clock::time_point deadline() const noexcept { return deadline_.load(); }
  [[nodiscard]] std::int64_t task() const noexcept { return task_.load(); }
  /// The kernel's number of the worker's thread.
  [[nodiscard]] pid_t thread() const noexcept { return thread_.load(); }
  [[nodiscard]] std::chrono::nanoseconds timeout() const noexcept { return timeout_.load(); }
  /// Such as "1.5 s".
  [[nodiscard]] std::string timeout_text() const;

private:
  std::atomic<std::chrono::nanoseconds> timeout_{std::chrono::nanoseconds(0)};
  std::atomic<Clock::time_point> deadline_ = Clock::time_point::max(); // publishes the rest
  std::atomic<std::int64_t> task_ = 0;
  std::atomic<pid_t> thread_ = 0;
};

/// How a worker hears that the call it works for has failed.
struct FailedCall {
  const std::atomic<std::uint32_t>* last = nullptr; ///< number of the last call that failed
  std::uint32_t own = 0;                            ///< number of the worker's call
};

} // namespace detail

/// One thread of one rank that computes. Belongs to its thread: not thread-safe.
class Worker {
public:
  Worker(int rank, int thread, int index) noexcept : rank_(rank), thread_(thread), index_(index) {}

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int thread() const noexcept { return thread_; }
  /// Number among all workers of the job, from 0.
  [[nodiscard]] int index() const noexcept { return index_; }

  /// State of type T made once a worker, at its first use, and kept as long as the Pool: a model, a
  /// buffer. `args` construct it.
  template <class T, class... Args>
  T& local(Args&&... args) {
    auto& slot = locals_[std::type_index(typeid(T))];
    if (!slot)
      slot = std::make_shared<T>(std::forward<Args>(args)...);
    return *static_cast<T*>(slot.get());
  }

  /// The random stream of the current task (of the leaf's first task in reduce_ranges), from its
  /// beginning. Each repetition of a run numbers its calls as the first one did, so that it draws
  /// the same.
  [[nodiscard]] RandomStream random() const noexcept { return {seed_, call_, task_}; }
  /// Whether the call has failed already, or the task's time is over: long tasks should look now
  /// and then, and return early or throw. About 1 ns, 30 ns where there is a time-out.
  [[nodiscard]] bool stop_requested() const noexcept {
    return (failed_.last != nullptr &&
            failed_.last->load(std::memory_order_relaxed) == failed_.own) ||
           (watch_ != nullptr && watch_->late());
  }

  /// For the Pool: which task comes now.
  void begin_task(std::int64_t task) noexcept { task_ = static_cast<std::uint64_t>(task); }
  /// For the Pool: which call comes now.
  /// @param call of the random streams, together with the seed
  /// @param watch of this worker, where its tasks are timed
  void begin_call(std::uint64_t seed, std::uint32_t call, detail::FailedCall failed = {},
                  detail::Watch* watch = nullptr) noexcept {
    seed_ = seed;
    call_ = call;
    failed_ = failed;
    watch_ = watch;
  }
  /// For the Pool.
  [[nodiscard]] detail::Watch* watch() const noexcept { return watch_; }

private:
  int rank_;
  int thread_;
  int index_;
  std::uint64_t seed_ = 0;
  std::uint32_t call_ = 0;
  std::uint64_t task_ = 0;
  detail::FailedCall failed_;
  detail::Watch* watch_ = nullptr; // where tasks are timed
  std::map<std::type_index, std::shared_ptr<void>> locals_;
};

namespace detail {

/// Calls a task, with the worker as last argument when it asks for it.
template <class F, class... Args>
decltype(auto) call_task(F& f, Worker& worker, Args&&... args) {
  if constexpr (std::is_invocable_v<F&, Args..., Worker&>)
    return std::invoke(f, std::forward<Args>(args)..., worker);
  else if constexpr (std::is_invocable_v<F&, Args...>)
    return std::invoke(f, std::forward<Args>(args)...);
  else {
    static_assert(std::is_invocable_v<F&, Args...>,
                  "a task is f(input...) or f(input..., Worker&), with the Worker last and inputs "
                  "by value or const reference");
    return 0; // no second error behind the first
  }
}

/// Returns work() where it ends in time.
template <class Work>
decltype(auto) run_timed(Watch& watch, std::int64_t task, Work work) {
  struct Timing {
    Watch& watch;
    ~Timing() { watch.end(); }
  };
  watch.begin(task);
  const Timing timing{watch};
  try {
    decltype(auto) result = work();
    if (!watch.late())
      return result;
  } catch (...) {
    if (!watch.late())
      throw;
  }
  throw TimedOut("timed out after " + watch.timeout_text());
}

/// Returns work(), which returns a value: a task of the worker.
/// @throws TimedOut whatever it threw or returned, when it took too long
template <class Work>
decltype(auto) run_task(Worker& worker, std::int64_t task, Work work) {
  worker.begin_task(task);
  if (worker.watch() == nullptr) [[likely]]
    return work();
  return run_timed(*worker.watch(), task, std::move(work));
}

} // namespace detail

} // namespace cleave
