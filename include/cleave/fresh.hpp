/// @file
/// Memory for data to come that nobody zeroes first. Not for users: they see the Pool.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave::detail {

/// Asks the kernel for huge pages under fresh memory: fewer page faults. Advice, never an error.
void advise_huge(void* memory, std::size_t bytes) noexcept;

/// A vector to be: memory for n elements that nobody touches before its bytes are written, on huge
/// pages where the kernel grants them. A vector of n elements would be zeroed first, by one thread.
template <class T>
class Fresh {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  /// Uses the memory of a vector that nobody needs any more, when it is large enough.
  void recycle(std::vector<T> old) noexcept { vector_ = std::move(old); }
  void allocate(std::int64_t n) {
    size_ = static_cast<std::size_t>(n);
    if (vector_.capacity() >= size_)
      return;
    vector_ = {}; // its elements are not to be moved
    vector_.reserve(size_);
    advise_huge(vector_.data(), size_ * sizeof(T));
  }
  [[nodiscard]] std::span<T> span() noexcept { return {vector_.data(), size_}; }
  /// The vector, of whose elements all bytes have been written. O(1) for trivial T, of which no
  /// byte is moved, since each is copied onto itself.
  [[nodiscard]] std::vector<T> take() {
    const std::size_t old = std::min(vector_.size(), size_);
    vector_.resize(old);
    vector_.insert(vector_.end(), vector_.data() + old, vector_.data() + size_);
    return std::move(vector_);
  }

private:
  std::vector<T> vector_; // with room for all
  std::size_t size_ = 0;
};

} // namespace cleave::detail
