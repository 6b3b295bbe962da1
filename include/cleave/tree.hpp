/// @file
/// The fixed tree that joins the partial results of leaves: the same operands in the same order
/// whoever computed which leaf, so the same bits at every layout.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace cleave {

/// A finished subtree: the joined partials of leaves [first, first + 2^level), `first` a multiple
/// of 2^level.
template <class R>
struct Subtree {
  std::int64_t first = 0;
  std::int32_t level = 0;
  R value;
};

/// Collects subtrees and joins siblings as soon as both are there. The tree is the binary tree over
/// leaf numbers; where the right half lies beyond the last leaf, the left half stands for both.
/// Not thread-safe: one a worker, merged afterwards.
template <class R, class Op>
class LeafTree {
public:
  explicit LeafTree(Op op) : op_(std::move(op)) {}

  /// Adds a leaf or a subtree. It is joined to the one added before when they are siblings, left
  /// one first, and so on up: what is added in the order of leaves is joined as far as possible.
  /// Amortised one application of the operation.
  void add(Subtree<R> node) {
    while (!nodes_.empty() && siblings(nodes_.back(), node)) {
      node = {nodes_.back().first, node.level + 1,
              op_(std::move(nodes_.back().value), std::move(node.value))};
      nodes_.pop_back();
    }
    nodes_.push_back(std::move(node));
  }

  /// What could not be joined yet, in the order of adding; leaves the tree empty.
  [[nodiscard]] std::vector<Subtree<R>> take() { return std::exchange(nodes_, {}); }

  /// Joins everything when all leaves are there, added in their order; `identity` when there are
  /// none.
  [[nodiscard]] R finish(R identity) {
    if (nodes_.empty())
      return identity;
    R all = std::move(nodes_.back().value);
    for (auto node = nodes_.rbegin() + 1; node != nodes_.rend(); ++node)
      all = op_(std::move(node->value), std::move(all));
    nodes_.clear();
    return all;
  }

private:
  static bool siblings(const Subtree<R>& left, const Subtree<R>& right) {
    const std::int64_t size = std::int64_t{1} << left.level;
    return left.level == right.level && left.first % (2 * size) == 0 &&
           right.first == left.first + size;
  }

  Op op_;
  std::vector<Subtree<R>> nodes_;
};

/// Puts the subtrees of several workers into leaf order and joins what can be joined.
template <class R, class Op>
[[nodiscard]] LeafTree<R, Op> merged(std::vector<Subtree<R>> nodes, Op op) {
  std::ranges::sort(nodes, {}, &Subtree<R>::first);
  LeafTree<R, Op> tree(std::move(op));
  for (Subtree<R>& node : nodes)
    tree.add(std::move(node));
  return tree;
}

} // namespace cleave
