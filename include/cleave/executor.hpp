/// @file
/// Tasks one by one, each with a future: what concurrent.futures is to Python. Root submits while
/// all workers of the job serve.
#pragma once

#include "cleave/executor_function.hpp"
#include "cleave/pool.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave {

/// How a task is queued.
struct TaskOptions {
  int priority = 0; ///< higher ones begin first, equal ones as they were submitted
  /// The longest that the task may take once it has begun; 0: no limit. See PoolOptions::timeout,
  /// which is of the tasks that do not name their own.
  std::optional<std::chrono::duration<double>> timeout{};
};

/// What wait() waits for.
enum class Until : std::uint8_t {
  all, ///< every future is ready
  any, ///< one is
};

template <class R>
class Future;

namespace detail {

class Dispatcher; // src/executor_dispatcher.hpp

/// What get_for() returns.
template <class R>
using InTime = std::conditional_t<std::is_void_v<R>, bool,
                                  std::optional<std::conditional_t<std::is_void_v<R>, char, R>>>;

/// When to give up waiting; nothing: never.
using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// A timeout that reaches beyond 100 years is none.
template <class Rep, class Period>
[[nodiscard]] Deadline deadline_after(std::chrono::duration<Rep, Period> timeout) {
  using Seconds = std::chrono::duration<double>;
  if (Seconds(timeout) > std::chrono::hours(24 * 365 * 100))
    return std::nullopt;
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout);
}

/// A task that was submitted.
class Task;
using TaskPointer = std::shared_ptr<Task>;
[[nodiscard]] std::int64_t number_of(const Task& task) noexcept;
[[nodiscard]] bool is_ready(const Task& task) noexcept;
/// @return whether it became ready in time
bool wait_for(const Task& task, const Deadline& deadline);
bool cancel(Task& task);
/// The packed result of a ready task. @throws what became of it instead
[[nodiscard]] std::span<const std::byte> result_of(const Task& task);

/// Tells which of some tasks are ready, each once, as they become so.
class Arrivals {
public:
  explicit Arrivals(std::span<const TaskPointer> tasks);
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;
  ~Arrivals();
  /// Index of the next; nothing when all have been told or the deadline has come.
  [[nodiscard]] std::optional<std::size_t> next(const Deadline& deadline);

  struct List;

private:
  std::unique_ptr<List> list_;
};

template <class R>
[[nodiscard]] std::vector<TaskPointer> tasks_of(const std::vector<Future<R>>& futures);

} // namespace detail

/// What a submitted task will return. Copies share the task. Futures belong to the thread that runs
/// the function of Executor::run; after the run each is ready.
template <class R>
class Future {
public:
  /// Waits for the result: a copy at each call.
  /// @throws MapError with task, rank, thread, host, type and what() when the task threw, or took
  ///         longer than its time-out (TimedOut);
  ///         Error failed_task when it was cancelled, lost_peer when a rank has left
  R get() const {
    detail::wait_for(*task_, std::nullopt);
    return unpacked();
  }
  /// The same, but nothing when the result is not there in time (for void: whether it is there).
  template <class Rep, class Period>
  [[nodiscard]] detail::InTime<R> get_for(std::chrono::duration<Rep, Period> timeout) const {
    if (!detail::wait_for(*task_, detail::deadline_after(timeout)))
      return {};
    if constexpr (std::is_void_v<R>)
      return unpacked(), true;
    else
      return unpacked();
  }
  /// Whether get() would return or throw at once.
  [[nodiscard]] bool ready() const noexcept { return detail::is_ready(*task_); }
  /// Takes the task off the queue: it never runs. @return false when it has left the queue already
  bool cancel() const { return detail::cancel(*task_); }
  /// Number of the task, from 0 in order of submission.
  [[nodiscard]] std::int64_t task() const noexcept { return detail::number_of(*task_); }

private:
  friend class Executor;
  template <class T>
  friend std::vector<detail::TaskPointer> detail::tasks_of(const std::vector<Future<T>>& futures);

  explicit Future(detail::TaskPointer task) : task_(std::move(task)) {}
  R unpacked() const {
    const std::span<const std::byte> bytes = detail::result_of(*task_);
    if constexpr (!std::is_void_v<R>)
      return Unpacker(bytes).get<R>();
  }

  detail::TaskPointer task_;
};

/// Runs tasks on all workers of a Pool while a function at root submits them.
///
/// A task is a function given as template argument, submit<&f>: nothing is registered, but f must
/// be a named function, whose name no other function of the program has in another file's anonymous
/// namespace. Arguments and results travel packed, as those of the Pool do, and may be of any size.
/// A last parameter Worker& tells the task where it runs.
class Executor {
public:
  /// Runs function(executor) on root's own thread, while the workers of all ranks, root's too, run
  /// what it submits; returns on every rank when it has returned and all tasks are done. When it
  /// throws, tasks that have not begun are cancelled and every rank throws as in Pool::from_root.
  /// Collective. Neither the function nor a task makes a collective call, which is refused by Error
  /// bad_input, or a call of MPI. Root keeps its thread for the function, so that one that computes
  /// takes a core from root's workers. Tasks draw other random numbers in each run.
  /// @throws Error bad_input on every rank, before the function runs, when two functions that are
  ///         submitted somewhere have one name, or ranks run different programs
  static void run(Pool& pool, const std::function<void(Executor&)>& function);

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Queues f(args...), to run once, somewhere. Arguments are packed before it returns. A worker
  /// has at most one task waiting beside the one it runs: the others stay cancellable and in order
  /// of priority at root. About 1 us.
  /// @throws whatever packing an argument throws
  template <auto f, class... Args>
  auto submit(const Args&... args) {
    return submit<f>(TaskOptions{}, args...);
  }
  template <auto f, class... Args>
  auto submit(TaskOptions options, const Args&... args) {
    using Entry = detail::TaskEntry<f>;
    rouse(); // takes longer than packing
    return Future<typename Entry::Form::Result>(
        submit_packed(Entry::function, Entry::pack(args...), options));
  }
  /// submit of every element of a range, in its order.
  template <auto f, std::ranges::input_range Inputs>
  auto map(const Inputs& inputs, TaskOptions options = {}) {
    std::vector<decltype(submit<f>(options, *std::ranges::begin(inputs)))> futures;
    for (const auto& input : inputs)
      futures.push_back(submit<f>(options, input));
    return futures;
  }

  /// submit of every element of a range, which may be lazy and without end in sight, such as
  /// std::views::istream: on_result(index, result), of void on_result(index), is called as results
  /// come, in any order, by the caller's thread. So many inputs and results are in memory at most.
  /// @param most_in_flight at least 1; 0: four a worker
  /// @return the number of inputs
  /// @throws MapError of the first task seen to fail, and what the range or on_result throws: tasks
  ///         in flight go on then, unless this leaves the function of Executor::run
  template <auto f, std::ranges::input_range Inputs, class OnResult>
  std::int64_t map_unordered(Inputs&& inputs, OnResult on_result, std::int64_t most_in_flight = 0,
                             TaskOptions options = {});

  /// All workers of the job.
  [[nodiscard]] int workers() const noexcept;

private:
  explicit Executor(detail::Dispatcher& dispatcher) : dispatcher_(dispatcher) {}
  void rouse();
  detail::TaskPointer submit_packed(const detail::TaskFunction& function,
                                    std::vector<std::byte> arguments, TaskOptions options);
  detail::Dispatcher& dispatcher_;
};

namespace detail {

template <class R>
std::vector<TaskPointer> tasks_of(const std::vector<Future<R>>& futures) {
  std::vector<TaskPointer> tasks;
  for (const Future<R>& future : futures)
    tasks.push_back(future.task_);
  return tasks;
}

} // namespace detail

/// Waits until all of the futures, or any of them, are ready. Of no futures, all are and none is.
/// @return false when the time is over first
template <class R>
bool wait(const std::vector<Future<R>>& futures, Until until = Until::all,
          std::chrono::duration<double> timeout = std::chrono::duration<double>::max()) {
  const detail::Deadline deadline = detail::deadline_after(timeout);
  const std::vector<detail::TaskPointer> tasks = detail::tasks_of(futures);
  if (until == Until::any)
    return detail::Arrivals(tasks).next(deadline).has_value();
  for (const detail::TaskPointer& task : tasks)
    if (!detail::wait_for(*task, deadline))
      return false;
  return true;
}

/// The futures one by one as they become ready, for one loop: it waits for each.
template <class R>
class AsCompleted {
public:
  explicit AsCompleted(std::vector<Future<R>> futures)
      : futures_(std::move(futures)), arrivals_(detail::tasks_of(futures_)) {}

  class iterator {
  public:
    using value_type = Future<R>;
    using difference_type = std::ptrdiff_t;
    const Future<R>& operator*() const { return of_->futures_[*at_]; }
    iterator& operator++() {
      at_ = of_->arrivals_.next(std::nullopt);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !at_; }

  private:
    friend class AsCompleted;
    explicit iterator(AsCompleted& of) : of_(&of) { ++*this; }
    AsCompleted* of_;
    std::optional<std::size_t> at_;
  };
  iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
  std::vector<Future<R>> futures_;
  detail::Arrivals arrivals_;
};

/// for (const Future<R>& future : as_completed(futures)) ...
template <class R>
[[nodiscard]] AsCompleted<R> as_completed(std::vector<Future<R>> futures) {
  return AsCompleted<R>(std::move(futures));
}

template <auto f, std::ranges::input_range Inputs, class OnResult>
std::int64_t Executor::map_unordered(Inputs&& inputs, OnResult on_result,
                                     std::int64_t most_in_flight, TaskOptions options) {
  const auto most =
      static_cast<std::size_t>(most_in_flight > 0 ? most_in_flight : std::int64_t{4} * workers());
  std::vector<std::int64_t> indices; // of the futures
  std::vector<decltype(submit<f>(options, *std::ranges::begin(inputs)))> futures;
  std::int64_t count = 0;
  auto input = std::ranges::begin(inputs);
  while (true) {
    for (; futures.size() < most && input != std::ranges::end(inputs); ++input) {
      futures.push_back(submit<f>(options, *input));
      indices.push_back(count++);
    }
    if (futures.empty())
      return count;
    wait(futures, Until::any);
    for (std::size_t i = futures.size(); i-- > 0;) {
      if (!futures[i].ready())
        continue;
      const auto ready = std::exchange(futures[i], futures.back());
      const std::int64_t index = std::exchange(indices[i], indices.back());
      futures.pop_back();
      indices.pop_back();
      if constexpr (std::is_void_v<decltype(ready.get())>)
        ready.get(), on_result(index);
      else
        on_result(index, ready.get());
    }
  }
}

/// Calls done(future) for each of the futures as they become ready.
template <class R, class Done>
void as_completed(const std::vector<Future<R>>& futures, Done done) {
  for (const Future<R>& future : as_completed(futures))
    done(future);
}

} // namespace cleave
