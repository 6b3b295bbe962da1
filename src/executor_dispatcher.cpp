#include "executor_dispatcher.hpp"

#include "words.hpp"

#include <algorithm>
#include <ranges>
#include <string>
#include <utility>

namespace cleave::detail {
namespace {

// Whom the bell wakes.
constexpr std::uint32_t service_thread = 1;
constexpr std::uint32_t main_thread = 2;

// Who has waited for so long will hardly be answered at once the next time: staying awake as for
// others would cost half a percent of a core where tasks take 10 ms.
constexpr auto long_wait = std::chrono::milliseconds(1);
constexpr auto doubtful_time = std::chrono::microseconds(10);

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
  carry();
  return task;
}

void Dispatcher::rouse() {
  if (queued_ > 0)
    return; // nobody is idle
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
  if (const int core = remote.channel.to_rank.woke(); core != no_core)
    woke_.store(core, std::memory_order_relaxed);
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

// ---- The threads ----

bool Dispatcher::wait(const std::function<bool()>& ready, const Deadline& deadline) {
  if (ready())
    return true;
  const auto since = Clock::now();
  main_waits_ = true;
  ++waits_;
  bell_.asleep.store(0); // awake, and attending in the service thread's stead
  Naps awake = channels_.naps();
  if (waits_long_)
    awake.stay_awake(doubtful_time, false);
  await_woken(awake, woke_.exchange(no_core, std::memory_order_relaxed), answer_time);
  const bool come = wait_on(
      bell_, main_thread, spins_, awake, deadline,
      [&](Naps& naps) {
        if (attend())
          naps.restart();
        return ready();
      },
      [this, since] {
        look();
        name_absent(since);
      });
  waits_long_ = Clock::now() - since > long_wait;
  main_waits_ = false;
  bell_.asleep.store(service_thread);
  take_news(); // what came before the service thread could be woken for it
  return come;
}

/// Carries messages, takes what has come. @return whether there was anything
bool Dispatcher::attend() {
  const bool carried = carry();
  return take_news() || carried;
}

/// What MPI finds wrong is a loss, for whichever thread carries.
bool Dispatcher::carry() noexcept {
  if (is_lost_)
    return false;
  try {
    return channels_.carry();
  } catch (const std::exception& error) {
    lose(Error(ErrorKind::lost_peer, std::string("the Executor cannot go on: ") + error.what()));
    return false;
  }
}

void Dispatcher::work(int thread) {
  while (const TaskPointer task = next_own(thread)) {
    Frame answer = crew_.perform(thread, std::move(task->order));
    {
      const Lock lock(mutex_);
      own_begun_[static_cast<std::size_t>(thread)] = nullptr;
      settle(*task, std::move(answer), comm_.rank());
    }
    if (main_waits_)
      bell_.ring();
  }
}

TaskPointer Dispatcher::next_own(int thread) {
  spin_until(spins_, channels_.naps(), [this] { return queued_ > 0 || over_; });
  Lock lock(mutex_);
  ++own_asleep_;
  own_news_.wait(lock, [this] { return !queue_.empty() || over_; });
  --own_asleep_;
  if (queue_.empty())
    return nullptr;
  TaskPointer task = pop();
  own_begun_[static_cast<std::size_t>(thread)] = task;
  if (!queue_.empty() && own_asleep_ > 0)
    own_news_.notify_one();
  return task;
}

/// The service thread: attends while the main thread does not wait. Between nodes, where no bell
/// rings, it keeps out of the way of a main thread that waits now and then.
void Dispatcher::serve() {
  begun_.wait(false);
  std::uint32_t waits = 0;
  for (Naps naps = channels_.naps(); !(over_ && all_left());) {
    const std::uint32_t seen = bell_.rung.load();
    if (const std::uint32_t begun = waits_; channels_.carries() && begun != waits) {
      waits = begun;
      naps.restart();
      sleep(seen, Clock::now() + std::chrono::milliseconds(1));
    } else if (!main_waits_ && attend()) {
      naps.restart();
    } else if (spins_ && !main_waits_ && naps.awake()) {
      pause();
    } else {
      sleep(seen, naps.next());
    }
  }
}

/// Whether the ranks have what was written for them, or never will.
bool Dispatcher::all_left() noexcept {
  try {
    return is_lost_ || channels_.carried();
  } catch (const std::exception&) {
    return true;
  }
}

void Dispatcher::sleep(std::uint32_t seen, Clock::time_point until) {
  if (!main_waits_) {
    std::uint32_t awake = 0;
    bell_.asleep.compare_exchange_strong(awake, service_thread);
    if (news() || over_)
      return;
  }
  futex_wait(bell_.rung, seen, service_thread, until);
  look();
}

void Dispatcher::look() {
  const auto gone = comm_.left();
  if (!gone || is_lost_)
    return;
  take_news(); // what came before
  lose(*gone);
}

/// Names the ranks, and the tasks, that the main thread has waited for since then.
void Dispatcher::name_absent(Clock::time_point since) {
  const auto now = Clock::now();
  if (!absence_.due(since, now))
    return;
  const std::vector<LateTask> late = late_tasks(now);
  if (late.empty())
    return;
  absence_.look(std::max(since, late.front().begun), [&] {
    std::vector<std::string> names;
    for (const LateTask& task : late | std::views::take(3)) // which say enough
      names.push_back((task.rank == comm_.rank() ? "its own" : rank_name(comm_, task.rank) + ":") +
                      " task " + std::to_string(task.number));
    const std::size_t others = late.size() - names.size();
    return join(names) + (others == 0 ? "" : " and " + std::to_string(others) + " more");
  });
}

/// Those that workers have had for a whole patience, the oldest first.
std::vector<Dispatcher::LateTask> Dispatcher::late_tasks(Clock::time_point now) {
  std::vector<LateTask> late;
  const auto look_at = [&](const TaskPointer& task, int rank) {
    if (task && absence_.due(task->begun, now))
      late.push_back({task->begun, rank, task->number});
  };
  const Lock lock(mutex_);
  for (const TaskPointer& task : own_begun_)
    look_at(task, comm_.rank());
  for (const Remote& remote : remotes_)
    for (const TaskPointer& task : remote.begun | std::views::take(remote.threads))
      look_at(task, remote.rank); // later ones wait for these
  std::ranges::sort(late, {}, &LateTask::begun);
  return late;
}

/// No task that another rank has can be hoped for.
void Dispatcher::lose(const Error& why) {
  const Lock lock(mutex_);
  if (lost_)
    return;
  lost_ = why;
  const Raise raise = [why] { throw Error(why); };
  while (!queue_.empty())
    finish(*pop(), {}, raise);
  for (Remote& remote : remotes_)
    for (const TaskPointer& task : std::exchange(remote.begun, {}))
      finish(*task, {}, raise);
  is_lost_ = true;
  if (main_waits_)
    bell_.ring();
}

} // namespace cleave::detail
