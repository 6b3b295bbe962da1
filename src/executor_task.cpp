#include "executor_task.hpp"

#include <cxxabi.h>
#include <sched.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <system_error>
#include <typeinfo>
#include <utility>

namespace cleave::detail {
namespace {

std::string demangled(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : mangled;
}

/// Type and what() of the exception that is being handled.
std::vector<std::byte> packed_exception() {
  Packer packer;
  try {
    throw;
  } catch (const std::exception& error) {
    packer.put(demangled(typeid(error).name()));
    packer.put(std::string(error.what()));
  } catch (...) {
    packer.put(demangled(abi::__cxa_current_exception_type()->name()));
    packer.put(std::string());
  }
  return packer.take();
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

Frame perform(Thunk thunk, Worker& worker, Frame order) {
  const std::int64_t task = order.header.task;
  worker.begin_task(task);
  try {
    if (!order.whole())
      throw std::bad_alloc();
    Packer result;
    thunk(worker, std::move(order.payload), result);
    return make_frame(task, Frame::returned, result.take(), worker.thread());
  } catch (...) {
    return make_frame(task, Frame::threw, packed_exception(), worker.thread());
  }
}

TaskFailure failure_in(const Frame& answer, int rank, const std::string& host) {
  TaskFailure failure{.task = answer.header.task,
                      .rank = rank,
                      .thread = answer.header.thread,
                      .host = host,
                      .type = demangled(typeid(std::bad_alloc).name()),
                      .what = "root has no memory for a result of " +
                              std::to_string(answer.header.bytes) + " bytes"};
  if (answer.whole()) {
    Unpacker from(answer.payload);
    failure.type = from.get<std::string>();
    failure.what = from.get<std::string>();
  }
  return failure;
}

std::vector<Worker> workers_of(const Layout& layout, int rank, std::uint64_t seed) {
  int first = 0;
  for (int r = 0; r < rank; ++r)
    first += layout.ranks()[static_cast<std::size_t>(r)].threads;
  std::vector<Worker> workers;
  for (int t = 0; t < layout.ranks()[static_cast<std::size_t>(rank)].threads; ++t)
    workers.emplace_back(rank, t, first + t).begin_call(seed, 0, nullptr);
  return workers;
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
