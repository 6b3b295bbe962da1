/// @file
/// The templates of Pool over Distributed data; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"
#include "cleave/pool_leaves.hpp"

#include <algorithm>

namespace cleave {

namespace detail {

/// The leaves that a rank holds: its workers' share of them, in one block.
[[nodiscard]] inline TaskRange leaves_of_rank(const Leaves& leaves, const Workers& workers,
                                              int rank) {
  const auto begin_of = [&](int worker) {
    return worker < workers.count() ? block_range(leaves.count(), workers.count(), worker).first
                                    : leaves.count();
  };
  return {begin_of(workers.first_of(rank)), begin_of(workers.first_of(rank + 1))};
}

/// The values of leaves [first, last).
[[nodiscard]] inline Part values_of(const Leaves& leaves, TaskRange held) {
  if (held.empty())
    return {};
  const std::int64_t first = leaves.tasks_of(held.first).first;
  return {first, leaves.tasks_of(held.last - 1).last - first};
}

} // namespace detail

inline TaskRange Pool::leaves_of(const Leaves& leaves, int rank) const {
  return detail::leaves_of_rank(leaves, engine_->workers(), rank);
}

template <Portable T>
Distributed<T> Pool::scatter(const std::vector<T>& values, LeafOptions options) {
  detail::Engine& engine = *engine_;
  const detail::RootPart root = engine.open({"scatter", detail::type_mark<T>()}, [&] {
    return detail::RootPart{std::ssize(values), 0, 0};
  });
  const Leaves leaves(root.tasks, options.grain, options.max_leaves);
  const auto part = [&](int rank) {
    return detail::values_of(leaves, detail::leaves_of_rank(leaves, engine.workers(), rank));
  };
  const Part own = part(comm().rank());
  std::vector<T> held;
  if constexpr (Flat<T> && std::default_initializable<T> && !std::same_as<T, bool>) {
    std::vector<Part> parts;
    for (int r = 0; r < comm().size(); ++r)
      parts.push_back(part(r));
    held.resize(static_cast<std::size_t>(own.count));
    const Pieces pieces = one_each(parts);
    comm().scatter_pieces(std::as_bytes(std::span(values)), pieces,
                          std::as_writable_bytes(std::span(held)), sizeof(T));
  } else {
    const auto blob = comm().scatter_blobs([&](int rank) {
      Packer packer;
      engine.attempt([&] {
        const Part theirs = part(rank);
        for (std::int64_t i = theirs.first; i < theirs.first + theirs.count; ++i)
          packer.put(static_cast<const T&>(values[static_cast<std::size_t>(i)]));
      });
      return packer.take();
    });
    engine.attempt([&] {
      Unpacker from(blob);
      for (std::int64_t i = is_root() ? 0 : own.count; i > 0; --i)
        held.push_back(from.get<T>());
    });
    engine.join_or_throw();
    if (is_root())
      held.assign(values.begin(), values.begin() + own.count);
  }
  engine.close();
  return {leaves, detail::leaves_of_rank(leaves, engine.workers(), comm().rank()), std::move(held)};
}

template <Portable T>
std::vector<T> Pool::gather(const Distributed<T>& values) {
  detail::Engine& engine = *engine_;
  std::vector<T> all;
  engine.open({"gather", detail::type_mark<T>(), values.size()}, [&] {
    all.reserve(static_cast<std::size_t>(values.size()));
    return detail::RootPart{};
  });
  engine.enter(Phase::gather);
  if (is_root())
    all.assign(values.local().begin(), values.local().end());
  Packer packer;
  engine.attempt([&] {
    if (!is_root())
      for (const T& value : values.local())
        packer.put(value);
  });
  engine.join_or_throw();
  // Ranks hold ascending blocks, and are handed over in order.
  comm().gather_blobs(packer.bytes(), [&](int rank, const std::vector<std::byte>& blob) {
    engine.attempt([&] {
      Unpacker from(blob);
      const TaskRange held = detail::leaves_of_rank(values.leaves(), engine.workers(), rank);
      for (std::int64_t i = detail::values_of(values.leaves(), held).count; i > 0; --i)
        all.push_back(from.get<T>());
    });
  });
  engine.join_or_throw();
  engine.close();
  return all;
}

template <class F, class T>
auto Pool::map(F f, const Distributed<T>& values) -> Distributed<detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  detail::Engine& engine = *engine_;
  engine.open({"map", detail::type_mark<F, Distributed<T>, R>(), values.size()},
              [] { return detail::RootPart{}; });
  const TaskRange own = values.own();
  std::vector<std::optional<R>> results(static_cast<std::size_t>(own.size()));
  engine.compute_own(values.own_leaves(), values.leaves(), [&](Worker& worker, TaskRange chunk) {
    const Part part = detail::values_of(values.leaves(), chunk);
    engine.each(
        worker, {part.first, part.first + part.count}, false,
        [&](std::int64_t i) {
          const auto at = static_cast<std::size_t>(i - own.first);
          results[at] = detail::run_task(worker, i, [&]() -> decltype(auto) {
            return detail::call_task(f, worker, values.local()[at]);
          });
        },
        [](TaskRange) {});
  });
  engine.join_or_throw();
  engine.close();
  std::vector<R> held;
  held.reserve(results.size());
  for (std::optional<R>& result : results)
    held.push_back(std::move(*result));
  return {values.leaves(), values.own_leaves(), std::move(held)};
}

template <class R, class Op, class Fold>
R Pool::run_reduce_own(const detail::CallForm& form, const Leaves& leaves, TaskRange own, Op op,
                       R identity, Fold fold) {
  static_assert(Portable<R>, "partial results travel between ranks: no pointers or views");
  detail::Engine& engine = *engine_;
  engine.open(form, [] { return detail::RootPart{}; });
  std::vector<LeafTree<R, Op>> trees(static_cast<std::size_t>(engine.threads()),
                                     LeafTree<R, Op>(op));
  engine.compute_own(own, leaves, [&](Worker& worker, TaskRange chunk) {
    LeafTree<R, Op> tree(op);
    engine.each(
        worker, chunk, false,
        [&](std::int64_t leaf) {
          const TaskRange range = leaves.tasks_of(leaf);
          detail::add_leaf(engine, worker, tree, {leaf, range},
                           [&] { return fold(worker, range); });
        },
        [](TaskRange) {});
    for (Subtree<R>& node : tree.take())
      trees[static_cast<std::size_t>(worker.thread())].add(std::move(node));
  });
  return join_trees(trees, op, std::move(identity));
}

template <class F, class T, class Op, class R>
R Pool::map_reduce(F f, const Distributed<T>& values, Op op, R identity) {
  const detail::Window<const T> items{values.local().data(), values.own().first};
  return run_reduce_own(
      {"map_reduce", detail::type_mark<F, Distributed<T>, Op, R>(), values.size()}, values.leaves(),
      values.own_leaves(), op, identity, [&](Worker& worker, TaskRange range) {
        return detail::fold_leaf(*engine_, f, op, identity, worker, range, items);
      });
}

template <class F, class T, class Op, class R>
R Pool::reduce_ranges(F f, const Distributed<T>& values, Op op, R identity) {
  return run_reduce_own(
      {"reduce_ranges", detail::type_mark<F, Distributed<T>, Op, R>(), values.size()},
      values.leaves(), values.own_leaves(), op, std::move(identity),
      [&](Worker& worker, TaskRange range) {
        const auto items =
            values.local().subspan(static_cast<std::size_t>(range.first - values.own().first),
                                   static_cast<std::size_t>(range.size()));
        return detail::call_leaf<R>(*engine_, f, worker, range, items);
      });
}

} // namespace cleave
