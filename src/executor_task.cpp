#include "executor_task.hpp"

#include "words.hpp"

#include <sched.h>

#include <new>
#include <system_error>
#include <utility>

namespace cleave::detail {
namespace {

/// The words of the exception that is being handled; no bytes when there is no memory for them.
std::vector<std::byte> packed_exception() noexcept {
  try {
    const Thrown thrown = current_exception_words();
    Packer packer;
    packer.put(thrown.type);
    packer.put(thrown.what);
    return packer.take();
  } catch (...) {
    return {};
  }
}

std::vector<Worker> workers_of(const Layout& layout, int rank) {
  int first = 0;
  for (int r = 0; r < rank; ++r)
    first += layout.ranks()[static_cast<std::size_t>(r)].threads;
  std::vector<Worker> workers;
  for (int t = 0; t < layout.ranks()[static_cast<std::size_t>(rank)].threads; ++t)
    workers.emplace_back(rank, t, first + t);
  return workers;
}

/// Where threads may run that the rank's main thread, which may be pinned, has started.
void run_anywhere_on(const RankPlace& place) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : place.cpus)
    CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (!place.cpus.empty()) // refusal costs speed alone
    sched_setaffinity(0, sizeof set, &set);
}

} // namespace

Crew::Crew(Engine& engine, Channels& channels, std::vector<Thunk> thunks, std::uint64_t seed)
    : engine_(engine), channels_(channels), thunks_(std::move(thunks)), seed_(seed),
      workers_(workers_of(engine.layout(), engine.comm().rank())), watches_(workers_.size()) {}

Frame Crew::perform(int thread, Frame order) {
  Worker& worker = workers_[static_cast<std::size_t>(thread)];
  const std::int64_t task = order.header.task;
  const std::int64_t begin = monotonic_ns();
  Frame answer = answered(worker, std::move(order));
  engine_.count(worker, {task, task + 1}, begin, monotonic_ns());
  return answer;
}

Frame Crew::answered(Worker& worker, Frame order) {
  const std::int64_t task = order.header.task;
  try {
    if (!order.whole())
      throw std::bad_alloc();
    worker.begin_call(seed_, 0, {}, watch(worker.thread(), order.header.timeout));
    std::vector<std::byte> bytes = run_task(worker, task, [&] {
      Packer result;
      thunks_[order.header.word](worker, std::move(order.payload), result);
      return result.take();
    });
    return make_frame(task, Frame::returned, std::move(bytes), worker.thread());
  } catch (...) {
    return make_frame(task, Frame::threw, packed_exception(), worker.thread());
  }
}

/// Of a worker whose next task has this time-out; nothing where that is none.
Watch* Crew::watch(int thread, std::chrono::duration<double> timeout) {
  const bool timed = timeout.count() > 0;
  if (!timed) [[likely]]
    return nullptr;
  start_watchdog();
  Watch& watch = watches_[static_cast<std::size_t>(thread)];
  watch.time_out_after(timeout);
  return &watch;
}

void Crew::start_watchdog() {
  const std::lock_guard lock(starting_);
  if (!watchdog_)
    watchdog_.emplace(watches_, [this](const StuckTask& stuck) {
      const auto silence = channels_.hold();
      end_job(engine_.comm(), engine_.options(), stuck);
    });
}

TaskFailure failure_in(const Frame& answer, int rank, const std::string& host) {
  TaskFailure failure{.task = answer.header.task,
                      .rank = rank,
                      .thread = answer.header.thread,
                      .host = host,
                      .type = "std::bad_alloc",
                      .what = "no memory for an answer of " + std::to_string(answer.header.bytes) +
                              " bytes"};
  if (answer.whole() && !answer.payload.empty()) {
    Unpacker from(answer.payload);
    failure.type = from.get<std::string>();
    failure.what = from.get<std::string>();
  }
  return failure;
}

void start_threads(std::vector<std::jthread>& threads, const RankPlace& place, int count,
                   const std::function<void(int)>& work) {
  try {
    for (int thread = 0; thread < count; ++thread)
      threads.emplace_back([&place, work, thread] {
        run_anywhere_on(place);
        work(thread);
      });
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::bad_input,
                "cannot start " + std::to_string(count) + " threads: " + error.what());
  }
}

} // namespace cleave::detail
