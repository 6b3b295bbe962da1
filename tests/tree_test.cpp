#include "cleave/tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

namespace cleave {
namespace {

/// Writes the tree down: neither associative nor commutative.
struct Bracket {
  std::string operator()(const std::string& a, const std::string& b) const {
    return "(" + a + " " + b + ")";
  }
};

using Tree = LeafTree<std::string, Bracket>;
using Node = Subtree<std::string>;

std::string leaf(std::int64_t i) {
  return std::to_string(i);
}

/// The definition: the binary tree over leaf numbers, cut off at `leaves`.
std::string defined(std::int64_t first, std::int64_t size, std::int64_t leaves) {
  if (size == 1)
    return leaf(first);
  const std::int64_t half = size / 2;
  if (first + half >= leaves)
    return defined(first, half, leaves);
  return Bracket()(defined(first, half, leaves), defined(first + half, half, leaves));
}

std::string expected(std::int64_t leaves) {
  return leaves == 0 ? "none" : defined(0, 256, leaves);
}

/// Leaves dealt out by owner(leaf), then merged.
template <class Owner>
std::string split(std::int64_t leaves, int workers, Owner owner) {
  std::vector<Tree> trees(static_cast<std::size_t>(workers), Tree(Bracket()));
  for (std::int64_t i = 0; i < leaves; ++i)
    trees[static_cast<std::size_t>(owner(i))].add({i, 0, leaf(i)});
  std::vector<Node> nodes;
  for (auto tree = trees.rbegin(); tree != trees.rend(); ++tree)
    std::ranges::move(tree->take(), std::back_inserter(nodes));
  return merged(std::move(nodes), Bracket()).finish("none");
}

TEST(LeafTree, WritesDownSmallTrees) {
  EXPECT_EQ(expected(0), "none");
  EXPECT_EQ(expected(1), "0");
  EXPECT_EQ(expected(3), "((0 1) 2)");
  EXPECT_EQ(expected(7), "(((0 1) (2 3)) ((4 5) 6))");
}

TEST(LeafTree, IsTheDefinedTreeForOneWorker) {
  for (std::int64_t leaves = 0; leaves <= 200; ++leaves) {
    Tree tree{Bracket()};
    for (std::int64_t i = 0; i < leaves; ++i)
      tree.add({i, 0, leaf(i)});
    EXPECT_EQ(tree.finish("none"), expected(leaves));
    EXPECT_TRUE(tree.take().empty());
  }
}

TEST(LeafTree, IsTheSameForBlocksAndCycles) {
  for (std::int64_t leaves = 0; leaves <= 200; ++leaves)
    for (const int workers : {2, 3, 5, 8}) {
      EXPECT_EQ(split(leaves, workers, [=](auto i) { return i * workers / leaves; }),
                expected(leaves));
      for (const int chunk : {1, 3, 7})
        EXPECT_EQ(split(leaves, workers, [=](auto i) { return i / chunk % workers; }),
                  expected(leaves));
    }
}

TEST(LeafTree, IsTheSameForAnySplit) {
  std::mt19937 random(1);
  for (int time = 0; time < 500; ++time) {
    const auto leaves = static_cast<std::int64_t>(random() % 201);
    const int workers = static_cast<int>(random() % 6) + 1;
    EXPECT_EQ(
        split(leaves, workers, [&](auto) { return random() % static_cast<unsigned>(workers); }),
        expected(leaves));
  }
}

TEST(LeafTree, IsTheSameInAnyOrder) {
  std::mt19937 random(1);
  for (std::int64_t leaves = 1; leaves <= 200; ++leaves) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(leaves));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::shuffle(order, random);
    Tree tree{Bracket()};
    for (const std::int64_t i : order)
      tree.add({i, 0, leaf(i)});
    EXPECT_EQ(merged(tree.take(), Bracket()).finish("none"), expected(leaves));
  }
}

TEST(LeafTree, KeepsFewNodesOfManyLeaves) {
  LeafTree<int, std::plus<>> tree{std::plus<>()};
  for (std::int64_t i = 0; i < 65'535; ++i)
    tree.add({i, 0, 1});
  const auto nodes = tree.take();
  EXPECT_EQ(nodes.size(), 16U);
  EXPECT_EQ(nodes.front().value, 32'768);
}

} // namespace
} // namespace cleave
