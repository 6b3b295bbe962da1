/// @file
/// The Engine's failures: what throws on one rank becomes data that every rank learns.
#include "cleave/engine.hpp"
#include "cleave/serialize.hpp"
#include "serialize_error.hpp"
#include "watchdog.hpp"
#include "words.hpp"

#include <cstdio>
#include <utility>

namespace cleave::detail {
namespace {

void put(Packer& packer, const TaskFailure& failure) {
  packer.put(failure.task);
  packer.put(failure.rank);
  packer.put(failure.thread);
  packer.put(failure.host);
  packer.put(failure.type);
  packer.put(failure.what);
}

TaskFailure get_failure(Unpacker& from) {
  TaskFailure failure;
  failure.task = from.get<std::int64_t>();
  failure.rank = from.get<int>();
  failure.thread = from.get<int>();
  failure.host = from.get<std::string>();
  failure.type = from.get<std::string>();
  failure.what = from.get<std::string>();
  return failure;
}

std::vector<std::byte> packed_failure(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (...) {
    return packed(current_error());
  }
}

} // namespace

void raise_together(const Comm& comm, const std::exception_ptr& mine) {
  if (comm.agree({mine ? 1U : 0U}).highest[0] != 0)
    raise_first(comm, mine);
}

void raise_first(const Comm& comm, const std::exception_ptr& mine) {
  const auto all = comm.all_gather_blobs(mine ? packed_failure(mine) : std::vector<std::byte>());
  const auto found = std::ranges::find_if(all, [](const auto& blob) { return !blob.empty(); });
  const Error first = unpacked_error(*found);
  std::string message = first.message();
  if (const auto rank = static_cast<int>(found - all.begin()); rank != 0)
    message = "rank " + std::to_string(rank) + " (host " + comm.host_of(rank) + "): " + message;
  else if (first.kind() == ErrorKind::failed_task)
    message = "root failed: " + message;
  throw Error(first.kind(), message, first.place());
}

void end_job(const Comm& comm, const PoolOptions& options, const StuckTask& stuck) {
  const Error error(
      ErrorKind::failed_task,
      "task " + std::to_string(stuck.task) + " on rank " + std::to_string(comm.rank()) +
          " (thread " + std::to_string(stuck.thread) + ", host " + comm.host_of(comm.rank()) +
          ") ignores its time-out of " + stuck.timeout +
          ", and the job ends; let long tasks ask Worker::stop_requested(). It is in" +
          stuck.stack);
  if (options.on_stuck)
    options.on_stuck(error);
  else
    std::fprintf(stderr, "cleave: %s\n", error.what());
  comm.abort(exit_status(error.kind()));
}

void Engine::disagree(const CallForm& form) {
  std::string mine = "rank " + std::to_string(comm_.rank()) + " makes call " +
                     std::to_string(call_) + ", " + form.verb;
  if (form.tasks != tasks_of_root)
    mine += " of " + std::to_string(form.tasks) + " tasks";
  const std::vector<std::string> all = comm_.all_gather(mine);
  const auto what = [](const std::string& text) { return text.substr(text.find(" makes ")); };
  const auto other = std::ranges::find_if(
      all, [&](const std::string& text) { return what(text) != what(all[0]); });
  throw Error(ErrorKind::lost_peer,
              "the ranks do not make the same collective call: " +
                  (other == all.end()
                       ? all[0] + ", with types, schedules or leaves that differ between ranks"
                       : all[0] + ", but " + *other));
}

TaskFailure Engine::failure_of(const Worker& worker, std::int64_t task,
                               const std::exception_ptr& why) const {
  TaskFailure failure{.task = task,
                      .rank = worker.rank(),
                      .thread = worker.thread(),
                      .host = comm_.host_of(worker.rank()),
                      .type = {},
                      .what = {}};
  try {
    std::rethrow_exception(why);
  } catch (...) {
    Thrown thrown = current_exception_words();
    failure.type = std::move(thrown.type);
    failure.what = std::move(thrown.what);
  }
  return failure;
}

void Engine::fail(const Worker& worker, std::int64_t task, const std::exception_ptr& why,
                  bool stop) {
  TaskFailure failure = failure_of(worker, task, why);
  if (stop)
    stop_->store(call_, std::memory_order_relaxed); // a hint: join() carries the news
  const std::lock_guard lock(failures_mutex_);
  failures_.push_back(std::move(failure));
  stops_ = stops_ || stop;
}

std::vector<TaskFailure> Engine::join() {
  const std::vector<TaskFailure> mine = std::exchange(failures_, {});
  constexpr std::uint64_t anew = 1;
  constexpr std::uint64_t dear = 2;
  std::uint64_t lesson = 0;
  for (Hand& hand : hands_)
    if (std::exchange(hand.learns, false))
      lesson = std::max(lesson, hand.dear.empty() ? anew : dear);
  const Agreement said = comm_.agree({mine.size(), lesson, std::exchange(stops_, false) ? 1U : 0U});
  const bool failed = said.highest[0] != 0;
  broken_off_ = said.highest[2] != 0;
  clock_.enter(Phase::gather);
  std::vector<TaskFailure> all;
  if (!failed) {
    if (said.highest[1] == dear)
      learn();
    else if (said.highest[1] == anew)
      experiences_.erase(form_); // what took long then does no more
    return all;
  }
  for (Hand& hand : hands_)
    hand.dear.clear();
  Packer packer;
  for (const TaskFailure& failure : mine)
    put(packer, failure);
  for (const auto& blob : comm_.all_gather_blobs(packer.bytes()))
    for (Unpacker from(blob); !from.empty();)
      all.push_back(get_failure(from));
  std::ranges::sort(all, {}, &TaskFailure::task);
  return all;
}

void Engine::join_or_throw() {
  std::vector<TaskFailure> failures = join();
  if (failures.empty())
    return;
  clock_.enter(Phase::compute);
  throw MapError(std::move(failures));
}

} // namespace cleave::detail
