/// @file
/// The templates of Pool over inputs of unknown number; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"
#include "cleave/pool_map.hpp"
#include "cleave/pool_share.hpp"

#include <algorithm>
#include <optional>

namespace cleave {

namespace detail {

/// How many inputs of a stream to take at once, so that a batch takes about as long as it should.
class BatchSize {
public:
  BatchSize(std::int64_t first, std::int64_t most) : size_(std::min(first, most)), most_(most) {}
  static constexpr std::int64_t wanted_ns = 100'000'000; // the ends of batches cost it little

  [[nodiscard]] std::int64_t get() const noexcept { return size_; }
  /// @param spent_ns what a batch of get() inputs took
  void adapt(std::int64_t spent_ns) noexcept {
    if (spent_ns < wanted_ns / 2)
      size_ = std::min(2 * size_, most_);
    else if (spent_ns > 2 * wanted_ns)
      size_ = std::max(size_ / 2, std::int64_t{1});
  }

private:
  std::int64_t size_;
  std::int64_t most_;
};

} // namespace detail

template <class F, class Source, class OnResult>
std::int64_t Pool::stream(F f, Source source, OnResult on_result, std::int64_t most_in_flight) {
  using T = typename std::invoke_result_t<Source&>::value_type;
  using R = detail::TaskResult<F, const T&>;
  std::vector<T> batch;
  std::vector<R> results;
  std::int64_t done = 0; // known at root
  detail::BatchSize size(workers(), std::max(most_in_flight, std::int64_t{1}));
  const auto turn = [&] {
    for (R& result : results)
      on_result(done++, std::move(result));
    batch.clear();
    const std::int64_t since = monotonic_ns();
    while (std::ssize(batch) < size.get()) {
      std::optional<T> input = source();
      if (!input)
        break;
      batch.push_back(std::move(*input));
      if (monotonic_ns() - since > detail::BatchSize::wanted_ns)
        break; // results must not wait for a slow source
    }
    return std::array{std::ssize(batch), done};
  };
  while (true) {
    const auto [count, total] = from_root(turn);
    if (count == 0)
      return total;
    const std::int64_t begin = monotonic_ns();
    results = map(f, batch, {.keep = false}); // batches are cut by time
    size.adapt(monotonic_ns() - begin);
  }
}

} // namespace cleave
