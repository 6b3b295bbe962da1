#include "replay.hpp"

#include <algorithm>

namespace cleave::predict_detail {
namespace {

constexpr std::size_t children = 4;

bool before(const FreeWorkers::Worker& a, const FreeWorkers::Worker& b) noexcept {
  return a.free_s != b.free_s ? a.free_s < b.free_s : a.number < b.number;
}

} // namespace

FreeWorkers::FreeWorkers(std::int64_t workers) {
  heap_.reserve(static_cast<std::size_t>(workers));
  for (std::int64_t number = 0; number < workers; ++number)
    heap_.push_back({0, number});
}

void FreeWorkers::delay_first(double free_s) noexcept {
  sink({free_s, heap_.front().number});
}

void FreeWorkers::remove_first() noexcept {
  const Worker last = heap_.back();
  heap_.pop_back();
  if (!heap_.empty())
    sink(last);
}

/// Puts a worker in the place of the first.
void FreeWorkers::sink(Worker worker) noexcept {
  std::size_t at = 0;
  for (;;) {
    const std::size_t begin = children * at + 1;
    if (begin >= heap_.size())
      break;
    std::size_t least = begin;
    for (std::size_t child = begin + 1; child < std::min(begin + children, heap_.size()); ++child)
      if (before(heap_[child], heap_[least]))
        least = child;
    if (!before(heap_[least], worker))
      break;
    heap_[at] = heap_[least];
    at = least;
  }
  heap_[at] = worker;
}

} // namespace cleave::predict_detail
