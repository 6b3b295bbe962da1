/// @file
/// The Engine's failures: what throws on one rank becomes data that every rank learns.
#include "cleave/engine.hpp"
#include "cleave/serialize.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <utility>

namespace cleave::detail {
namespace {

std::string demangled(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : mangled;
}

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

/// Kind, message and place of any exception.
std::vector<std::byte> packed(const std::exception_ptr& failure) {
  Packer packer;
  const auto put_error = [&packer](const Error& error) {
    packer.put(error.kind());
    packer.put(error.message());
    packer.put(error.place().file);
    packer.put(error.place().line);
    packer.put(error.place().key);
  };
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    put_error(error);
  } catch (const std::exception& error) {
    put_error({ErrorKind::failed_task, demangled(typeid(error).name()) + ": " + error.what()});
  } catch (...) {
    put_error({ErrorKind::failed_task, demangled(abi::__cxa_current_exception_type()->name())});
  }
  return packer.take();
}

} // namespace

void raise_together(const Comm& comm, const std::exception_ptr& mine) {
  if (comm.agree({mine ? 1U : 0U}).highest[0] != 0)
    raise_first(comm, mine);
}

void raise_first(const Comm& comm, const std::exception_ptr& mine) {
  const auto all = comm.all_gather_blobs(mine ? packed(mine) : std::vector<std::byte>());
  const auto first = std::ranges::find_if(all, [](const auto& blob) { return !blob.empty(); });
  Unpacker from(*first);
  const auto kind = from.get<ErrorKind>();
  auto message = from.get<std::string>();
  auto file = from.get<std::string>();
  const int line = from.get<int>();
  auto key = from.get<std::string>();
  if (const auto rank = static_cast<int>(first - all.begin()); rank != 0)
    message = "rank " + std::to_string(rank) + " (host " + comm.host_of(rank) + "): " + message;
  else if (kind == ErrorKind::failed_task)
    message = "root failed: " + message;
  throw Error(kind, message, {std::move(file), line, std::move(key)});
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
                  (other == all.end() ? all[0] + ", with types that differ between ranks"
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
  } catch (const std::exception& error) {
    failure.type = demangled(typeid(error).name());
    failure.what = error.what();
  } catch (...) {
    failure.type = demangled(abi::__cxa_current_exception_type()->name());
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
}

std::vector<TaskFailure> Engine::join() {
  const std::vector<TaskFailure> mine = std::exchange(failures_, {});
  const bool dear =
      std::ranges::any_of(hands_, [](const Hand& hand) { return !hand.dear.empty(); });
  const Agreement said = comm_.agree({mine.size(), dear ? 1U : 0U});
  const bool failed = said.highest[0] != 0;
  clock_.enter(Phase::gather);
  std::vector<TaskFailure> all;
  if (!failed) {
    if (said.highest[1] != 0)
      learn();
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
