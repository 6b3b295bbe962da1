/// @file
/// What the reductions of Pool do with one leaf. Not for users.
#pragma once

#include "cleave/engine.hpp"
#include "cleave/range.hpp"
#include "cleave/tree.hpp"
#include "cleave/worker.hpp"

#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

namespace cleave::detail {

/// One leaf of a reduction.
struct LeafTasks {
  std::int64_t leaf;
  TaskRange tasks;
};

/// Folds a leaf and adds it to the tree; what that throws is a failure of the leaf's first task.
template <class R, class Op, class Fold>
void add_leaf(Engine& engine, Worker& worker, LeafTree<R, Op>& tree, LeafTasks at, Fold fold) {
  try {
    if (std::optional<R> partial = fold())
      tree.add({at.leaf, 0, std::move(*partial)});
  } catch (...) {
    engine.fail(worker, at.tasks.first, std::current_exception());
  }
}

/// Folds one leaf left to right; nothing when a task threw.
template <class R, class F, class Op, class Items>
std::optional<R> fold_leaf(Engine& engine, F& f, Op& op, const R& identity, Worker& worker,
                           TaskRange range, const Items& items) {
  R all = identity;
  std::int64_t i = range.first;
  try {
    for (; i < range.last; ++i)
      all = op(std::move(all), run_task(worker, i, [&]() -> decltype(auto) {
                 return call_task(f, worker, items[i]);
               }));
  } catch (...) {
    engine.fail(worker, i, std::current_exception());
    return std::nullopt;
  }
  return all;
}

/// One call for a whole leaf; nothing when it threw.
template <class R, class F, class... Args>
std::optional<R> call_leaf(Engine& engine, F& f, Worker& worker, TaskRange range, Args&&... args) {
  try {
    return run_task(worker, range.first, [&]() -> decltype(auto) {
      return call_task(f, worker, range, std::forward<Args>(args)...);
    });
  } catch (...) {
    engine.fail(worker, range.first, std::current_exception());
    return std::nullopt;
  }
}

} // namespace cleave::detail
