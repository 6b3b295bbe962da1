#include "executor_dispatcher.hpp"

#include <algorithm>
#include <ranges>
#include <string>
#include <utility>

namespace cleave::detail {
namespace {

Raise cancellation(std::int64_t task, const std::string& why) {
  return [text = "task " + std::to_string(task) + " was cancelled" + why] {
    throw Error(ErrorKind::failed_task, text);
  };
}

} // namespace

Dispatcher::Dispatcher(Engine& engine, Channels& channels, std::vector<Thunk> thunks,
                       std::uint64_t seed)
    : comm_(engine.comm()), channels_(channels), bell_(channels.bell()),
      timeout_(engine.options().timeout), spins_(!comm_.yields()),
      workers_(engine.workers().count()), crew_(engine, channels, std::move(thunks), seed),
      absence_(comm_.options(), rank_name(comm_, comm_.rank())),
      own_begun_(static_cast<std::size_t>(crew_.size())) {
  const std::vector<RankPlace>& places = engine.layout().ranks();
  for (int r = 1; r < comm_.size(); ++r)
    remotes_.emplace_back(r, places[static_cast<std::size_t>(r)].threads, channels.of(r));
  try {
    start_threads(threads_, places.front(), crew_.size() + 1, [this](int thread) {
      if (thread == crew_.size())
        serve();
      else
        work(thread);
    });
  } catch (...) {
    stop();
    throw;
  }
}

Dispatcher::~Dispatcher() {
  stop();
}

void Dispatcher::stop() noexcept {
  {
    const Lock lock(mutex_);
    over_ = true;
  }
  own_news_.notify_all();
  start();
  bell_.ring();
  threads_.clear();
}

/// Lets the service thread call MPI.
void Dispatcher::start() noexcept {
  begun_ = true;
  begun_.notify_one();
}

std::exception_ptr Dispatcher::run(const std::function<void()>& function) {
  start();
  std::exception_ptr failure;
  try {
    function();
  } catch (...) {
    failure = std::current_exception();
    cancel_queued();
  }
  wait([this] { return unready_ == 0; }, std::nullopt);
  dismiss();
  stop();
  if (!lost_)
    return failure;
  comm_.leave("it cannot run the Executor any longer");
  throw Error(*lost_);
}

/// Gives every rank its last order.
void Dispatcher::dismiss() {
  {
    const Lock lock(mutex_);
    for (Remote& remote : remotes_)
      send(remote, make_frame(0, Frame::last_order, {}));
  }
  wait(
      [this] {
        return is_lost_ || std::ranges::none_of(remotes_, [](const Remote& remote) {
                 return remote.crowded.load();
               });
      },
      std::nullopt);
}

// ---- The queue ----

TaskPointer Dispatcher::submit(std::uint32_t function, std::vector<std::byte> arguments,
                               const TaskOptions& options) {
  Frame order = make_frame(0, function, std::move(arguments));
  order.header.timeout = options.timeout.value_or(timeout_);
  TaskPointer task;
  {
    const Lock lock(mutex_);
    if (lost_)
      throw Error(*lost_);
    order.header.task = submitted_++;
    task = std::make_shared<Task>(*this, options.priority, std::move(order));
    queue_.emplace(task->key, task);
    queued_ = queue_.size();
    ++unready_;
    dispatch();
  }
  if (queued_ > 0 && looks_rarely_.exchange(false))
    bell_.ring();
  send_off();
  return task;
}

void Dispatcher::rouse() {
  if (queued_ > 0)
    return; // nobody is idle
  bell_.be_here();
  const Lock lock(mutex_);
  if (Remote* const next = remote_with_less_than(1))
    next->channel.to_rank.rouse();
}

TaskPointer Dispatcher::pop() {
  TaskPointer task = std::move(queue_.begin()->second);
  queue_.erase(queue_.begin());
  queued_ = queue_.size();
  task->status = Task::Status::begun;
  task->begun = Clock::now();
  return task;
}

/// Idle workers of other ranks first: root's main thread may need a core of root's. While more
/// tasks are queued than there are workers, a busy one gets its next task beforehand; not later,
/// since that task could begin on a worker that is idle by then.
void Dispatcher::dispatch() {
  while (!queue_.empty()) {
    Remote* remote = remote_with_less_than(1);
    if (remote == nullptr && std::cmp_greater(queue_.size(), workers_))
      remote = remote_with_less_than(2);
    if (remote == nullptr)
      break;
    TaskPointer task = pop();
    send(*remote, std::move(task->order));
    remote->begun.push_back(std::move(task));
  }
  if (!queue_.empty() && own_asleep_ > 0)
    own_news_.notify_one();
}

/// The one with the least to do, and of several the one that has answered last: it may be awake
/// yet.
Dispatcher::Remote* Dispatcher::remote_with_less_than(int tasks_a_thread) {
  const auto goes_before = [](const Remote& a, const Remote& b) {
    const auto load_a = std::ssize(a.begun) * b.threads;
    const auto load_b = std::ssize(b.begun) * a.threads;
    return load_a != load_b ? load_a < load_b : a.last_answer > b.last_answer;
  };
  Remote* best = nullptr;
  for (Remote& remote : remotes_)
    if (std::cmp_less(remote.begun.size(), tasks_a_thread * remote.threads) &&
        (best == nullptr || goes_before(remote, *best)))
      best = &remote;
  return best;
}

bool Dispatcher::cancel(Task& task) {
  const Lock lock(mutex_);
  if (queue_.erase(task.key) == 0)
    return false;
  queued_ = queue_.size();
  finish(task, {}, cancellation(task.number, ""));
  return true;
}

void Dispatcher::cancel_queued() {
  const Lock lock(mutex_);
  while (!queue_.empty()) {
    const TaskPointer task = pop();
    finish(*task, {}, cancellation(task->number, ": the Executor's function threw"));
  }
}

void Dispatcher::finish(Task& task, std::vector<std::byte> result, Raise raise) {
  if (task.ready())
    return;
  task.result = std::move(result);
  task.raise = std::move(raise);
  task.order = {};
  task.status = Task::Status::ready;
  for (const Task::Listener& listener : std::exchange(task.listeners, {}))
    listener.list->arrive(listener.index);
  --unready_; // at last: who sees none unready may end the run
}

void Dispatcher::listen(Arrivals::List& list) {
  const Lock lock(mutex_);
  for (std::size_t i = 0; i < list.tasks.size(); ++i)
    if (Task& task = *list.tasks[i]; task.ready())
      list.arrive(i);
    else
      task.listeners.push_back({&list, i});
}

void Dispatcher::forget(const Arrivals::List& list) {
  const Lock lock(mutex_);
  for (const TaskPointer& task : list.tasks)
    std::erase_if(task->listeners,
                  [&list](const Task::Listener& listener) { return listener.list == &list; });
}

// ---- The channels ----

void Dispatcher::send(Remote& remote, Frame frame) {
  remote.writer.push(std::move(frame));
  flush(remote);
}

void Dispatcher::flush(Remote& remote) {
  remote.crowded = !remote.writer.flush(remote.channel.to_rank);
  written_to_.store(&remote.channel.to_rank.reader(), std::memory_order_relaxed);
  if (remote.channel.to_rank.woke())
    woke_.store(true, std::memory_order_relaxed);
  // Whoever looks after the channels goes on when there is room, which may be at once.
  if (remote.crowded && remote.channel.to_rank.ask_room() > 0)
    bell_.ring();
}

bool Dispatcher::news() {
  return std::ranges::any_of(remotes_, [](Remote& remote) {
    return remote.channel.to_root.filled() > 0 ||
           (remote.crowded && remote.channel.to_rank.room() > 0);
  });
}

/// Takes what has come, writes what there is room for. One pass, so that nobody who waits for the
/// lock waits long. @return whether there was anything
bool Dispatcher::take_news() {
  if (!news())
    return false;
  const Lock lock(mutex_);
  for (Remote& remote : remotes_) {
    if (remote.crowded)
      flush(remote);
    while (remote.channel.to_root.filled() > 0) {
      auto answer = remote.reader.read(remote.channel.to_root);
      if (!answer)
        break;
      take_answer(remote, std::move(*answer));
    }
  }
  dispatch();
  if (main_waits_)
    bell_.ring(); // when this is the service thread
  return true;
}

void Dispatcher::take_answer(Remote& remote, Frame answer) {
  const auto found = std::ranges::find(remote.begun, answer.header.task,
                                       [](const TaskPointer& task) { return task->number; });
  if (found == remote.begun.end())
    return; // given up for lost
  const TaskPointer task = std::move(*found);
  remote.begun.erase(found);
  remote.last_answer = ++answers_;
  settle(*task, std::move(answer), remote.rank);
}

void Dispatcher::settle(Task& task, Frame answer, int rank) {
  if (answer.header.word == Frame::threw || !answer.whole())
    finish(task, {}, [failure = failure_in(answer, rank, comm_.host_of(rank))] {
      throw MapError({failure});
    });
  else
    finish(task, std::move(answer.payload));
}

} // namespace cleave::detail
