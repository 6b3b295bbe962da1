/// @file
/// Half-open ranges of tasks, their even division among parts, and the leaves of a call.
#pragma once

#include <algorithm>
#include <cstdint>

namespace cleave {

/// A contiguous range of task indices [first, last).
struct TaskRange {
  std::int64_t first = 0;
  std::int64_t last = 0;

  [[nodiscard]] constexpr std::int64_t size() const noexcept { return last - first; }
  [[nodiscard]] constexpr bool empty() const noexcept { return last <= first; }
  friend constexpr bool operator==(const TaskRange&, const TaskRange&) = default;
};

/// The part-th of `parts` nearly equal contiguous pieces of [0, n): sizes differ by at most one and
/// the larger ones come first. Local, thread-safe, constant time; never overflows.
/// @pre n >= 0, parts >= 1, 0 <= part < parts
[[nodiscard]] constexpr TaskRange block_range(std::int64_t n, std::int64_t parts,
                                              std::int64_t part) noexcept {
  const std::int64_t each = n / parts;
  const std::int64_t extra = n % parts;
  const std::int64_t first = part * each + std::min(part, extra);
  return {first, first + each + (part < extra ? 1 : 0)};
}

/// The part that block_range gives task i to: the inverse of block_range.
/// @pre 0 <= i < n, parts >= 1
[[nodiscard]] constexpr std::int64_t block_owner(std::int64_t n, std::int64_t parts,
                                                 std::int64_t i) noexcept {
  const std::int64_t each = n / parts;
  const std::int64_t extra = n % parts;
  const std::int64_t in_larger = extra * each + extra; // each + 1 may not fit
  return i < in_larger ? i / (each + 1) : extra + (i - in_larger) / each;
}

/// The most leaves a call is cut into unless the job says otherwise.
inline constexpr std::int64_t default_max_leaves = 65'536;

/// The fixed blocks of tasks that reductions fold and checkpoints keep. Their bounds depend on the
/// number of tasks, the grain and the limit alone, never on the workers: that is what makes
/// results the same bytes at every layout.
class Leaves {
public:
  /// @param n tasks, >= 0
  /// @param grain the fewest tasks worth a leaf (tasks of about 100 us together), >= 1
  /// @param max_leaves >= 1
  constexpr explicit Leaves(std::int64_t n, std::int64_t grain = 1,
                            std::int64_t max_leaves = default_max_leaves) noexcept
      : tasks_(n),
        size_(std::max({grain, n / max_leaves + (n % max_leaves != 0 ? 1 : 0), std::int64_t{1}})) {}

  [[nodiscard]] constexpr std::int64_t tasks() const noexcept { return tasks_; }
  /// Tasks in every leaf but perhaps the last.
  [[nodiscard]] constexpr std::int64_t leaf_size() const noexcept { return size_; }
  [[nodiscard]] constexpr std::int64_t count() const noexcept {
    return tasks_ / size_ + (tasks_ % size_ != 0 ? 1 : 0);
  }
  /// The tasks of leaf `leaf`, 0 <= leaf < count().
  [[nodiscard]] constexpr TaskRange tasks_of(std::int64_t leaf) const noexcept {
    const std::int64_t first = leaf * size_;
    return {first, std::min(tasks_, first + std::min(size_, tasks_ - first))};
  }

private:
  std::int64_t tasks_;
  std::int64_t size_;
};

} // namespace cleave
