/// @file
/// The Dispatcher's threads: who waits, who attends to the channels, who is missed.
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

// Between looks of the service thread at a main thread that waits now and then; longer where it
// does little else, since a look holds it up on their core for 20 us; longest while no task is
// queued that a rank might be without.
constexpr Clock::duration shortest_look = std::chrono::milliseconds(1);
constexpr Clock::duration longest_look = std::chrono::milliseconds(16);
constexpr Clock::duration longest_idle_look = std::chrono::milliseconds(128);

// Whether so many waits in that time are nearly all that the main thread does.
bool does_little_but_wait(std::uint32_t waits, Clock::duration time) {
  return waits >= 16 && waits >= time / std::chrono::milliseconds(1);
}

} // namespace

bool Dispatcher::wait(const std::function<bool()>& ready, const Deadline& deadline) {
  if (ready())
    return true;
  const auto since = Clock::now();
  main_waits_ = true;
  ++waits_;
  bell_.asleep.store(0); // awake, and attending in the service thread's stead
  Naps awake = channels_.naps();
  if (waits_long_)
    awake.stay_awake(doubtful_time);
  else if (channels_.carries())
    awake.stay_awake(answer_time); // nobody knows whether the other end naps
  if (woke_.exchange(false, std::memory_order_relaxed))
    awake.stay_awake(answer_time);
  const bool come = wait_on(
      bell_, main_thread, written_to_, spins_, awake, deadline,
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

/// After the main thread has submitted a task: carries it, and takes what has come meanwhile. The
/// service thread, were it woken for that, would hold up this one on their core. Looking for what
/// has come takes half of the time at most, however many the ranks.
void Dispatcher::send_off() {
  if (!channels_.carries())
    return;
  main_waits_ = true;
  bell_.asleep.store(0);
  if (const auto begin = Clock::now(); begin < look_at_) {
    carry(Channels::Ways::outward);
  } else {
    carry();
    const auto end = Clock::now();
    look_at_ = end + (end - begin);
  }
  main_waits_ = false;
  bell_.asleep.store(service_thread);
  take_news(); // of ranks on this node as well, who could wake nobody
}

/// What MPI finds wrong is a loss, for whichever thread carries.
bool Dispatcher::carry(Channels::Ways ways) noexcept {
  if (is_lost_)
    return false;
  try {
    return channels_.carry(ways);
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
  spin_until(spins_, false, channels_.naps(), [this] { return queued_ > 0 || over_; });
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
  Clock::duration between_looks = shortest_look;
  for (Naps naps = channels_.naps(); !(over_ && all_left());) {
    const std::uint32_t seen = bell_.rung.load();
    if (const std::uint32_t begun = waits_; channels_.carries() && begun != waits) {
      between_looks =
          does_little_but_wait(begun - waits, between_looks)
              ? std::min(2 * between_looks, queued_ > 0 ? longest_look : longest_idle_look)
              : shortest_look;
      looks_rarely_ = between_looks > longest_look;
      waits = begun;
      naps.restart();
      sleep(seen, Clock::now() + between_looks);
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
    if (news() || over_ || (looks_rarely_ && queued_ > 0))
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
