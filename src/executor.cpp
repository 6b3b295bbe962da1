#include "cleave/executor.hpp"

#include "cleave/provenance.hpp"
#include "executor_dispatcher.hpp"
#include "executor_server.hpp"
#include "no_agreement.hpp"

#include <functional>
#include <string>
#include <utility>

namespace cleave {
namespace {

const std::string& build_id() {
  static const std::string id = machine_facts().at("build_id");
  return id;
}

/// The functions of this program, when all ranks run the same one: a function travels by number.
/// Collective.
detail::TaskTable agreed_table(Pool& pool) {
  detail::TaskTable table = detail::task_table();
  const auto [root_id, root_signatures] = pool.from_root([&table] {
    if (!table.ambiguous.empty())
      throw Error(ErrorKind::bad_input,
                  "two functions that are submitted have one name: give one of them another, or "
                  "take both out of their anonymous namespaces (" +
                      table.ambiguous + ")");
    return std::pair(build_id(), table.signatures);
  });
  detail::together(pool.comm(), [&] {
    if (build_id() != root_id || table.signatures != root_signatures)
      throw Error(ErrorKind::bad_input, "runs another program than root (build id " + build_id() +
                                            ", not " + root_id +
                                            "): start the same one on every rank");
  });
  return table;
}

} // namespace

void Executor::run(Pool& pool, const std::function<void(Executor&)>& function) {
  detail::TaskTable table = agreed_table(pool);
  detail::Engine& engine = *pool.engine_;
  const std::uint64_t seed = engine.drawn_seed(); // of the call that agreed
  detail::Channels channels(pool.comm());
  std::optional<detail::Dispatcher> dispatcher;
  std::optional<detail::TaskServer> server;
  detail::together(pool.comm(), [&] {
    if (pool.is_root())
      dispatcher.emplace(engine, channels, std::move(table.thunks), seed);
    else
      server.emplace(engine, channels, std::move(table.thunks), seed);
  });
  // Where a rank has left, no agreement is possible: these throw then, on every rank by itself.
  std::exception_ptr failure;
  {
    const detail::NoAgreement no_other_calls(
        pool.comm(), "an Executor runs: neither its function nor a task can make a collective "
                     "call; make it after Executor::run");
    if (server)
      server->serve();
    else
      failure = dispatcher->run([&] {
        Executor executor(*dispatcher);
        function(executor);
      });
  }
  detail::raise_together(pool.comm(), failure);
}

int Executor::workers() const noexcept {
  return dispatcher_.workers();
}

void Executor::rouse() {
  dispatcher_.rouse();
}

detail::TaskPointer Executor::submit_packed(const detail::TaskFunction& function,
                                            std::vector<std::byte> arguments, TaskOptions options) {
  const std::uint32_t number = function.number.load();
  if (number == detail::TaskFunction::unnumbered)
    throw Error(ErrorKind::bad_input,
                std::string("the function was loaded after Executor::run began: ") +
                    function.signature);
  return dispatcher_.submit(number, std::move(arguments), options);
}

namespace detail {

std::int64_t number_of(const Task& task) noexcept {
  return task.number;
}

bool is_ready(const Task& task) noexcept {
  return task.ready();
}

bool wait_for(const Task& task, const Deadline& deadline) {
  return task.ready() || task.dispatcher.wait([&task] { return task.ready(); }, deadline);
}

bool cancel(Task& task) {
  return !task.ready() && task.dispatcher.cancel(task);
}

std::span<const std::byte> result_of(const Task& task) {
  if (task.raise)
    task.raise();
  return task.result;
}

Arrivals::Arrivals(std::span<const TaskPointer> tasks) : list_(std::make_unique<List>()) {
  list_->tasks.assign(tasks.begin(), tasks.end());
  list_->come.resize(tasks.size());
  for (const TaskPointer& task : tasks)
    if (!task->ready())
      list_->dispatcher = &task->dispatcher;
  if (list_->dispatcher != nullptr)
    list_->dispatcher->listen(*list_);
  else
    for (std::size_t i = 0; i < tasks.size(); ++i)
      list_->arrive(i);
}

Arrivals::~Arrivals() {
  if (list_->count < list_->tasks.size())
    list_->dispatcher->forget(*list_);
}

std::optional<std::size_t> Arrivals::next(const Deadline& deadline) {
  List& list = *list_;
  const auto come = [&list] { return list.count > list.told; };
  if (list.told == list.tasks.size() || !(come() || list.dispatcher->wait(come, deadline)))
    return std::nullopt;
  return list.come[list.told++];
}

} // namespace detail
} // namespace cleave
