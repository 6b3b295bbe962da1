/// @file
/// The templates of Pool that reduce; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"
#include "cleave/pool_leaves.hpp"

#include <algorithm>
#include <bit>

namespace cleave {

namespace detail {

/// What a rank's workers have, joined as far as it goes.
template <class R, class Op>
[[nodiscard]] std::vector<std::byte> pack_trees(std::vector<LeafTree<R, Op>>& trees, Op& op) {
  std::vector<Subtree<R>> nodes;
  for (LeafTree<R, Op>& tree : trees)
    std::ranges::move(tree.take(), std::back_inserter(nodes));
  Packer packer;
  for (Subtree<R>& node : merged(std::move(nodes), op).take()) {
    packer.put(node.first);
    packer.put(node.level);
    packer.put(node.value);
  }
  return packer.take();
}

} // namespace detail

namespace detail {

/// Moves what a worker has joined to the tree of its thread, and into the checkpoint.
template <class R, class Op>
void hand_over(Engine& engine, LeafTree<R, Op>& from, LeafTree<R, Op>& to) {
  for (Subtree<R>& node : from.take()) {
    if (engine.keeps()) {
      Packer packer;
      packer.put(node.value);
      engine.keep({node.first, node.first + (std::int64_t{1} << node.level)}, packer.bytes());
    }
    to.add(std::move(node));
  }
}

/// One more tree at root: of what an earlier launch has kept.
template <class R, class Op>
void restore_tree(Engine& engine, std::vector<LeafTree<R, Op>>& trees, Op& op) {
  std::vector<Subtree<R>> kept;
  engine.restore([&](TaskRange leaves, std::span<const std::byte> bytes) {
    const int level = std::countr_zero(static_cast<std::uint64_t>(leaves.size()));
    kept.push_back({leaves.first, level, Unpacker(bytes).get<R>()});
  });
  engine.attempt([&] { trees.push_back(merged(std::move(kept), op)); });
}

} // namespace detail

template <class R, class Op>
R Pool::join_trees(std::vector<LeafTree<R, Op>>& trees, Op op, R identity) {
  detail::Engine& engine = *engine_;
  std::vector<std::byte> mine;
  engine.attempt([&] { mine = detail::pack_trees(trees, op); });
  engine.join_or_throw();
  std::vector<Subtree<R>> all;
  for (const auto& blob : engine.exchange(mine))
    for (Unpacker from(blob); !from.empty();) {
      const auto first = from.get<std::int64_t>();
      const auto level = from.get<std::int32_t>();
      all.push_back({first, level, from.get<R>()});
    }
  engine.close();
  try {
    return merged(std::move(all), op).finish(std::move(identity));
  } catch (...) { // on every rank alike: all join the same subtrees
    throw MapError({engine.failure_of(Worker(0, 0, 0), 0, std::current_exception())});
  }
}

namespace detail {

/// Ranks must agree on the leaves, which decide the bits.
[[nodiscard]] inline CallForm with_leaves(CallForm form, const LeafOptions& leaves) {
  if (leaves.grain < 1 || leaves.max_leaves < 1)
    throw Error(ErrorKind::bad_input, "a grain and a number of leaves are at least 1");
  for (const std::int64_t part : {leaves.grain, leaves.max_leaves})
    form.type = form.type * 31 + static_cast<std::size_t>(part);
  return form;
}

} // namespace detail

template <class In, class R, class Op, class Fold>
R Pool::run_reduce(In& in, const detail::CallForm& form, std::int64_t tasks, Op op, R identity,
                   LeafOptions options, Fold fold) {
  static_assert(Portable<R>, "partial results travel between ranks: no pointers or views");
  detail::Engine& engine = *engine_;
  const detail::RootPart root = engine.open(detail::with_leaves(form, options), [&] {
    return detail::RootPart{.tasks = tasks,
                            .inputs = in.address(),
                            .units = Leaves(tasks, options.grain, options.max_leaves).count()};
  });
  if (root.tasks == 0) {
    engine.close();
    return identity;
  }
  const Leaves leaves(root.tasks, options.grain, options.max_leaves);
  std::vector<LeafTree<R, Op>> trees(static_cast<std::size_t>(engine.threads()),
                                     LeafTree<R, Op>(op));
  if (!engine.all_kept())
    compute_leaves(in, root, leaves, trees, op, fold);
  detail::restore_tree(engine, trees, op);
  return join_trees(trees, op, std::move(identity));
}

/// The trees of this rank's threads, of what is not kept already.
template <class In, class R, class Op, class Fold>
void Pool::compute_leaves(In& in, const detail::RootPart& root, const Leaves& leaves,
                          std::vector<LeafTree<R, Op>>& trees, Op& op, Fold& fold) {
  detail::Engine& engine = *engine_;
  const ChunkSequence sequence = engine.sequence(leaves.count());
  detail::feed(engine, in, engine.route(sequence, root, In::item_bytes), root,
               [&leaves](TaskRange chunk) {
                 const std::int64_t first = leaves.tasks_of(chunk.first).first;
                 return Part{first, leaves.tasks_of(chunk.last - 1).last - first};
               });
  engine.compute(sequence, root, leaves, [&](Worker& worker, TaskRange chunk) {
    LeafTree<R, Op> tree(op); // of this chunk, on this thread's own stack
    in.enter(worker.thread(), chunk);
    engine.each(
        worker, chunk, false,
        [&](std::int64_t leaf) {
          const TaskRange range = leaves.tasks_of(leaf);
          detail::add_leaf(engine, worker, tree, {leaf, range},
                           [&] { return fold(worker, range, in.view(worker.thread(), range)); });
        },
        [&](TaskRange) {
          detail::hand_over(engine, tree, trees[static_cast<std::size_t>(worker.thread())]);
        });
  });
  engine.count_bytes(in.bytes_moved(), 0);
}

template <class F, class Op, class R>
R Pool::map_reduce(F f, std::int64_t n, Op op, R identity, LeafOptions leaves) {
  detail::Indices in;
  return run_reduce(in, {"map_reduce", detail::type_mark<F, Op, R>(), n, true}, n, op, identity,
                    leaves, [&](Worker& worker, TaskRange range, const auto& items) {
                      return detail::fold_leaf(*engine_, f, op, identity, worker, range, items);
                    });
}

template <class F, class T, class Op, class R>
R Pool::map_reduce(F f, const std::vector<T>& inputs, Op op, R identity, LeafOptions leaves) {
  static_assert(Portable<T>, "inputs travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  return run_reduce(in,
                    {.verb = "map_reduce", .type = detail::type_mark<F, T, Op, R>(), .kept = true},
                    static_cast<std::int64_t>(inputs.size()), op, identity, leaves,
                    [&](Worker& worker, TaskRange range, const auto& items) {
                      return detail::fold_leaf(*engine_, f, op, identity, worker, range, items);
                    });
}

template <class F, class Op, class R>
R Pool::reduce_ranges(F f, std::int64_t n, Op op, R identity, LeafOptions leaves) {
  detail::Indices in;
  return run_reduce(in, {"reduce_ranges", detail::type_mark<F, Op, R>(), n, true}, n, op,
                    std::move(identity), leaves, [&](Worker& worker, TaskRange range, const auto&) {
                      return detail::call_leaf<R>(*engine_, f, worker, range);
                    });
}

} // namespace cleave
