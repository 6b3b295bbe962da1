#include "executor_server.hpp"

#include <utility>

namespace cleave::detail {
namespace {

constexpr std::uint32_t sleeper = 1; // one at a time on each of this rank's bells

/// Of who waits for an order that a bell tells. A core that has rested for over 3 ms sleeps deeper
/// and takes twice as long to wake, so it naps for less at first; a wait of 2 s takes 4 ms of it,
/// in a hundred naps. Root, whose core its own tasks need, sleeps at once.
Naps light_naps() noexcept {
  return Naps(longest_sleep, std::chrono::milliseconds(1));
}

} // namespace

TaskServer::TaskServer(Engine& engine, Channels& channels, std::vector<Thunk> thunks,
                       std::uint64_t seed)
    : comm_(engine.comm()), channels_(channels), channel_(channels.of(comm_.rank())),
      spins_(!comm_.yields()), crew_(engine, channels, std::move(thunks), seed),
      working_(crew_.size()) {
  const RankPlace& place = engine.layout().ranks()[static_cast<std::size_t>(comm_.rank())];
  try {
    start_threads(threads_, place, crew_.size(), [this](int thread) { work(thread); });
  } catch (...) {
    stop();
    throw;
  }
}

TaskServer::~TaskServer() {
  stop();
}

void TaskServer::stop() noexcept {
  over_ = true;
  start();
  channel_.to_rank.reader().ring();
  channel_.to_root.writer().ring();
  threads_.clear();
}

/// Lets the workers take orders.
void TaskServer::start() noexcept {
  begun_ = true;
  begun_.notify_all();
}

void TaskServer::serve() {
  start();
  try {
    if (channels_.carries())
      carry();
    for (int working = working_.load(); working != 0; working = working_.load())
      working_.wait(working);
  } catch (...) {
    fail(std::current_exception());
  }
  stop();
  if (failure_)
    std::rethrow_exception(failure_);
}

/// Root must not wait for this rank's answers any longer.
void TaskServer::fail(const std::exception_ptr& why) noexcept {
  const std::lock_guard lock(failing_);
  if (!failure_)
    failure_ = why;
  over_ = true;
  comm_.leave("it cannot serve the Executor any longer");
}

void TaskServer::work(int thread) {
  begun_.wait(false);
  try {
    while (auto order = next_order()) {
      if (channels_.carries() && channel_.to_root.filled() > 0)
        channels_.bell().ring(); // earlier answers go while this worker works
      answer(crew_.perform(thread, std::move(*order)));
    }
  } catch (...) {
    fail(std::current_exception());
  }
  working_.fetch_sub(1);
  working_.notify_one();
  if (channels_.carries())
    channels_.bell().ring();
}

std::optional<Frame> TaskServer::next_order() {
  const std::lock_guard lock(reading_);
  Ring& ring = channel_.to_rank;
  std::optional<Frame> order;
  waiting_ = true;
  Naps awake = channels_.carries() || !spins_ ? channels_.naps() : light_naps();
  if (woke_.exchange(false))
    awake.stay_awake(question_time);
  wait_on(
      ring.reader(), sleeper, &ring.writer(), spins_, awake, std::nullopt,
      [&](Naps& naps) {
        if (channels_.carry())
          naps.restart();
        return over_ || (ring.filled() > 0 && (order = reader_.read(ring)));
      },
      [this] { look(); });
  waiting_ = false;
  if (order && order->header.word == Frame::last_order)
    over_ = true;
  return over_ ? std::nullopt : std::move(order);
}

void TaskServer::answer(Frame frame) {
  const std::lock_guard lock(writing_);
  writer_.push(std::move(frame));
  wait_on(
      channel_.to_root.writer(), sleeper, &channel_.to_root.reader(), spins_, channels_.naps(),
      std::nullopt,
      [this](Naps& naps) {
        const bool written = over_ || flush();
        if (channels_.carry())
          naps.restart();
        return written;
      },
      [this] { look(); });
  if (channel_.to_root.woke())
    woke_ = true;
}

bool TaskServer::flush() {
  while (!writer_.flush(channel_.to_root))
    if (channel_.to_root.ask_room() == 0)
      return false;
  return true;
}

void TaskServer::look() const {
  if (const auto gone = comm_.left())
    throw *gone;
}

/// While all workers work: one that waits carries for all, and this thread looks now and then
/// whether it still does. Until they have ended: by then root has had all answers.
void TaskServer::carry() {
  Bell& bell = channels_.bell();
  for (Naps naps = channels_.naps(); working_ != 0;) {
    const std::uint32_t seen = bell.rung.load();
    if (!waiting_ && channels_.carry()) {
      naps.restart();
      continue;
    }
    bell.lie_down(sleeper);
    if (working_ != 0)
      futex_wait(bell.rung, seen, sleeper,
                 waiting_ ? Clock::now() + Channels::longest_nap : naps.next());
    bell.asleep.store(0);
    look();
  }
}

} // namespace cleave::detail
