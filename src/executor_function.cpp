#include "cleave/executor_function.hpp"

#include <map>
#include <mutex>
#include <string_view>

namespace cleave::detail {
namespace {

/// The functions of this program by signature. A global: static initialisers are what fills it.
struct Functions {
  std::mutex mutex;
  std::map<std::string_view, TaskFunction*> by_signature;
  std::string ambiguous;
};

Functions& functions() {
  static Functions all;
  return all;
}

} // namespace

TaskFunction::TaskFunction(const char* its_signature, Thunk its_thunk)
    : signature(its_signature), thunk(its_thunk) {
  Functions& all = functions();
  const std::lock_guard lock(all.mutex);
  const auto [entered, is_new] = all.by_signature.try_emplace(signature, this);
  if (!is_new && entered->second->thunk != thunk)
    all.ambiguous = signature;
}

TaskTable task_table() {
  Functions& all = functions();
  const std::lock_guard lock(all.mutex);
  TaskTable table;
  table.ambiguous = all.ambiguous;
  for (const auto& [signature, function] : all.by_signature) {
    function->number = static_cast<std::uint32_t>(table.thunks.size());
    table.thunks.push_back(function->thunk);
    table.signatures += signature;
    table.signatures += '\n';
  }
  return table;
}

} // namespace cleave::detail
