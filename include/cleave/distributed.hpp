/// @file
/// Data that stays where it was scattered, and data that is shared by a node.
#pragma once

#include "cleave/comm.hpp"
#include "cleave/range.hpp"
#include "cleave/serialize.hpp"

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave {

/// A vector in pieces: each rank holds a block of whole leaves. Made by Pool::scatter and
/// Pool::map; local access needs no communication.
template <class T>
class Distributed {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> is no array: use char");

public:
  Distributed(Leaves leaves, TaskRange own_leaves, std::vector<T> values)
      : leaves_(leaves), own_leaves_(own_leaves), values_(std::move(values)) {}

  /// Values of all ranks together.
  [[nodiscard]] std::int64_t size() const noexcept { return leaves_.tasks(); }
  /// The leaves that the whole is cut into.
  [[nodiscard]] const Leaves& leaves() const noexcept { return leaves_; }
  /// The leaves that this rank holds.
  [[nodiscard]] TaskRange own_leaves() const noexcept { return own_leaves_; }
  /// The indices of the values that this rank holds.
  [[nodiscard]] TaskRange own() const noexcept {
    if (own_leaves_.empty())
      return {};
    return {leaves_.tasks_of(own_leaves_.first).first, leaves_.tasks_of(own_leaves_.last - 1).last};
  }
  /// This rank's values.
  [[nodiscard]] std::span<const T> local() const noexcept { return values_; }
  [[nodiscard]] std::span<T> local() noexcept { return values_; }

private:
  Leaves leaves_;
  TaskRange own_leaves_;
  std::vector<T> values_;
};

/// Read-only data from root: `*shared` is the value. Flat values lie once in each node's memory.
template <class T>
class Shared {
public:
  explicit Shared(T value) : value_(std::make_shared<const T>(std::move(value))) {}
  explicit Shared(const NodeWindow& window)
      : value_(std::make_shared<NodeWindow>(window),
               reinterpret_cast<const T*>(window.bytes().data())) {}
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] const T* operator->() const noexcept { return value_.get(); }

private:
  std::shared_ptr<const T> value_;
};

/// A shared vector of flat values: `*shared` is a span over the node's one copy.
template <Flat T>
  requires(!std::same_as<T, bool>) // whose vector is no array
class Shared<std::vector<T>> {
public:
  Shared(NodeWindow window, std::int64_t count)
      : window_(std::move(window)), count_(static_cast<std::size_t>(count)) {}
  [[nodiscard]] std::span<const T> operator*() const noexcept {
    return {reinterpret_cast<const T*>(window_.bytes().data()), count_};
  }

private:
  NodeWindow window_;
  std::size_t count_;
};

} // namespace cleave
