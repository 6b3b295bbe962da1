/// @file
/// What a task may ask of the worker that runs it: who it is, state of its own, random numbers.
#pragma once

#include <Random123/philox.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
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
  r123::Philox4x32::key_type key_;
  r123::Philox4x32::ctr_type counter_;
  r123::Philox4x32::ctr_type block_{};
  int used_ = 4; // 32-bit words of block_ already handed out
};

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
  /// beginning.
  [[nodiscard]] RandomStream random() const noexcept { return {seed_, call_, task_}; }
  /// Whether the call has failed already: long tasks should look now and then, and return early.
  [[nodiscard]] bool stop_requested() const noexcept {
    return stop_ != nullptr && stop_->load(std::memory_order_relaxed) == call_;
  }

  /// For the Pool: which task comes now.
  void begin_task(std::int64_t task) noexcept { task_ = static_cast<std::uint64_t>(task); }
  /// For the Pool: which call comes now.
  void begin_call(std::uint64_t seed, std::uint32_t call,
                  const std::atomic<std::uint32_t>* stop) noexcept {
    seed_ = seed;
    call_ = call;
    stop_ = stop;
  }

private:
  int rank_;
  int thread_;
  int index_;
  std::uint64_t seed_ = 0;
  std::uint32_t call_ = 0;
  std::uint64_t task_ = 0;
  const std::atomic<std::uint32_t>* stop_ = nullptr; // the number of the last call that failed
  std::map<std::type_index, std::shared_ptr<void>> locals_;
};

namespace detail {

/// Calls a task, with the worker as last argument when it asks for it.
template <class F, class... Args>
decltype(auto) call_task(F& f, Worker& worker, Args&&... args) {
  if constexpr (std::is_invocable_v<F&, Args..., Worker&>)
    return std::invoke(f, std::forward<Args>(args)..., worker);
  else
    return std::invoke(f, std::forward<Args>(args)...);
}

} // namespace detail

} // namespace cleave
