/// @file
/// An Executor's run at root: the queue, what every rank has in hand, and who looks after it.
#pragma once

#include "absence.hpp"
#include "cleave/executor.hpp"
#include "executor_channels.hpp"
#include "executor_task.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace cleave::detail {

/// Those of some tasks that are ready, in the order in which they became so.
struct Arrivals::List {
  std::vector<TaskPointer> tasks;
  std::vector<std::size_t> come; // as long as tasks; the first `count` are told
  std::atomic<std::size_t> count{0};
  std::size_t told = 0;
  Dispatcher* dispatcher = nullptr; // of those that were not ready at first

  void arrive(std::size_t index) {
    come[count.load()] = index;
    count.fetch_add(1);
  }
};

/// Throws what became of a task: a fresh exception at each call.
using Raise = std::function<void()>;

/// A task and what becomes of it. What is not atomic is the dispatcher's, under its lock, until the
/// task is ready, and constant afterwards.
class Task {
public:
  enum class Status : std::uint8_t { queued, begun, ready };
  struct Listener {
    Arrivals::List* list;
    std::size_t index;
  };
  using Key = std::pair<std::int64_t, std::int64_t>; // smallest first

  Task(Dispatcher& its_dispatcher, int priority, Frame its_order)
      : dispatcher(its_dispatcher), number(its_order.header.task),
        key(-std::int64_t{priority}, number), order(std::move(its_order)) {}

  [[nodiscard]] bool ready() const noexcept { return status.load() == Status::ready; }

  Dispatcher& dispatcher; // only until it is ready
  std::int64_t number;
  Key key;
  Frame order;
  std::atomic<Status> status{Status::queued};
  Clock::time_point begun; // when, once it has
  std::vector<std::byte> result;
  Raise raise; // instead, when not empty
  std::vector<Listener> listeners;
};

/// Root has three kinds of threads beside its workers: the main thread runs the user's function;
/// while it waits for a future, it looks after the channels itself, so that an answer wakes no
/// second thread. Else the service thread does.
class Dispatcher {
public:
  Dispatcher(Engine& engine, Channels& channels, std::vector<Thunk> thunks, std::uint64_t seed);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;
  ~Dispatcher();

  /// Runs function() and then all that it has submitted, cancelling what has not begun when it
  /// throws; dismisses the ranks. @return what it threw @throws Error lost_peer when a rank has
  /// left
  [[nodiscard]] std::exception_ptr run(const std::function<void()>& function);

  [[nodiscard]] int workers() const noexcept { return workers_; }
  /// Wakes who is to get the task that the main thread is about to submit.
  void rouse();
  TaskPointer submit(std::uint32_t function, std::vector<std::byte> arguments,
                     const TaskOptions& options);
  bool cancel(Task& task);
  /// Waits until ready(), on the main thread. @return false when the deadline has come
  bool wait(const std::function<bool()>& ready, const Deadline& deadline);
  void listen(Arrivals::List& list);
  void forget(const Arrivals::List& list);

private:
  /// Another rank.
  struct Remote {
    int rank;
    int threads;
    Channel& channel;
    FrameWriter writer{};
    FrameReader reader{};
    std::vector<TaskPointer> begun{}; // sent and not answered
    std::int64_t last_answer = 0;     // which it was of all
    std::atomic<bool> crowded{false}; // something is left to write
  };
  struct LateTask {
    Clock::time_point begun;
    int rank;
    std::int64_t number;
  };
  using Lock = std::unique_lock<std::mutex>;

  // The queue.
  [[nodiscard]] TaskPointer pop();
  void dispatch();
  [[nodiscard]] Remote* remote_with_less_than(int tasks_a_thread);
  void cancel_queued();
  void finish(Task& task, std::vector<std::byte> result, Raise raise = {});
  // The channels.
  void send(Remote& remote, Frame frame);
  void flush(Remote& remote);
  [[nodiscard]] bool news();
  bool attend();
  void send_off();
  bool carry(Channels::Ways ways = Channels::Ways::both) noexcept;
  bool take_news();
  void take_answer(Remote& remote, Frame answer);
  void settle(Task& task, Frame answer, int rank);
  // The threads.
  void work(int thread);
  [[nodiscard]] TaskPointer next_own(int thread);
  void serve();
  [[nodiscard]] bool all_left() noexcept;
  void sleep(std::uint32_t seen, Clock::time_point until);
  void look();
  void name_absent(Clock::time_point since);
  [[nodiscard]] std::vector<LateTask> late_tasks(Clock::time_point now);
  void lose(const Error& why);
  void start() noexcept;
  void dismiss();
  void stop() noexcept;

  const Comm& comm_;
  Channels& channels_;
  Bell& bell_;
  std::chrono::duration<double> timeout_; // of tasks that name none
  bool spins_;
  std::atomic<bool> woke_ = false;                // somebody, since the main thread last waited
  std::atomic<const Bell*> written_to_ = nullptr; // of the rank that was last sent something
  int workers_;
  Crew crew_;
  Absence absence_; // of those that the main thread waits for

  std::mutex mutex_;
  std::map<Task::Key, TaskPointer> queue_;
  std::atomic<std::size_t> queued_{0}; // their number
  std::deque<Remote> remotes_;
  std::int64_t answers_ = 0; // so far
  std::int64_t submitted_ = 0;
  std::optional<Error> lost_;
  std::condition_variable own_news_;
  std::vector<TaskPointer> own_begun_; // by thread; nothing: it has none
  int own_asleep_ = 0;

  std::atomic<std::int64_t> unready_{0};
  std::atomic<bool> main_waits_{false};
  std::atomic<std::uint32_t> waits_{0};   // of the main thread, begun so far
  std::atomic<bool> looks_rarely_{false}; // the service thread, while no task is queued
  bool waits_long_ = false;               // the main thread did, the last time
  Clock::time_point look_at_{};           // the main thread, after a submit, for what has come
  std::atomic<bool> is_lost_{false};
  std::atomic<bool> begun_{false};
  std::atomic<bool> over_{false};
  std::vector<std::jthread> threads_;
};

} // namespace cleave::detail
