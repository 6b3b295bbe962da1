// The exact sum of i^2 for i < n, for every n of a list: by adding up all squares, then checked
// against the closed form, which the work never uses. The plain loop:
//
//   for (i = 0; i < n; ++i) sum += i * i;   // in 128 bits

#include "jobs/sum_squares.hpp"

#include "cleave/pool.hpp"
#include "cleave/workload.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jobs/sum_squares.cpp" // this file is compiled for every instruction set
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::sum_squares::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::ScalableTag<std::uint64_t>;
using WordVector = hn::Vec<Words>;

/// Products of numbers below 2^32, lane by lane.
HWY_INLINE WordVector product(WordVector a, WordVector b) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Mul(a, b);
#else
  constexpr hn::Repartition<std::uint32_t, Words> halves;
  return hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b));
#endif
}

/// i = 2^20 h + l with h and l below 2^20 gives i^2 = 2^40 h^2 + 2^21 h l + l^2: three sums of
/// terms below 2^40, which 64-bit lanes hold without overflow for 2^24 numbers.
Uint128 sum_of_block(std::int64_t first, std::int64_t last) {
  constexpr int half_bits = 20;
  constexpr std::uint64_t low_mask = (std::uint64_t{1} << half_bits) - 1;
  const Words w;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(w));

  auto hh = hn::Zero(w);
  auto hl = hn::Zero(w);
  auto ll = hn::Zero(w);
  auto i = hn::Iota(w, static_cast<std::uint64_t>(first));
  std::int64_t next = first;
  for (; next + lanes <= last; next += lanes) {
    const auto h = hn::ShiftRight<half_bits>(i);
    const auto l = hn::And(i, hn::Set(w, low_mask));
    hh = hn::Add(hh, product(h, h));
    hl = hn::Add(hl, product(h, l));
    ll = hn::Add(ll, product(l, l));
    i = hn::Add(i, hn::Set(w, static_cast<std::uint64_t>(lanes)));
  }
  const auto total = [&](WordVector sums) HWY_ATTR {
    return static_cast<Uint128>(hn::GetLane(hn::SumOfLanes(w, sums)));
  };
  Uint128 sum = (total(hh) << (2 * half_bits)) + (total(hl) << (half_bits + 1)) + total(ll);
  for (; next < last; ++next)
    sum += static_cast<Uint128>(next) * static_cast<Uint128>(next);
  return sum;
}

} // namespace cleave::sum_squares::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::sum_squares {

HWY_EXPORT(sum_of_block);

Uint128 sum_of_squares(std::int64_t first, std::int64_t last) {
  constexpr std::int64_t block = std::int64_t{1} << 22; // less than what a lane can hold
  Uint128 sum = 0;
  for (; first < last; first += block)
    sum += HWY_DYNAMIC_DISPATCH(sum_of_block)(first, std::min(last, first + block));
  return sum;
}

std::string decimal(Uint128 value) {
  std::string digits;
  do {
    digits += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  } while (value != 0);
  std::ranges::reverse(digits);
  return digits;
}

namespace {

/// A task is a block of numbers; eight of them are worth a leaf of 0.1 ms.
class SumSquares : public Job {
public:
  explicit SumSquares(std::vector<std::int64_t> n) : n_(std::move(n)) {}

  [[nodiscard]] std::int64_t tasks() const override {
    std::int64_t all = 0;
    for (const std::int64_t n : n_)
      all += blocks(n);
    return all;
  }
  [[nodiscard]] std::int64_t leaves() const override {
    return n_.empty() ? 0 : Leaves(blocks(std::ranges::max(n_)), grain).count();
  }
  [[nodiscard]] double work() const override {
    double all = 0;
    for (const std::int64_t n : n_)
      all += static_cast<double>(n);
    return all;
  }
  [[nodiscard]] std::string unit() const override { return "numbers"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override {
    return {"Gnumbers/s", 1e-9};
  }

  void run(Pool& pool) override {
    sums_.clear();
    for (const std::int64_t n : n_) {
      const auto of_leaf = [n](TaskRange leaf) {
        return sum_of_squares(leaf.first * block, std::min(n, leaf.last * block));
      };
      sums_.push_back(pool.reduce_ranges(of_leaf, blocks(n), std::plus<Uint128>(), Uint128{0},
                                         LeafOptions{.grain = grain}));
    }
  }

  [[nodiscard]] Verdict check() override { return sum_squares::check(n_, sums_); }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(sums_));
  }
  [[nodiscard]] Summary summary() const override {
    std::vector<std::string> texts;
    for (const Uint128 sum : sums_)
      texts.push_back(decimal(sum));
    return {{"sums", texts}};
  }

private:
  static constexpr std::int64_t block = 65'536;
  static constexpr std::int64_t grain = 8;

  [[nodiscard]] static std::int64_t blocks(std::int64_t n) { return (n + block - 1) / block; }

  std::vector<std::int64_t> n_;
  std::vector<Uint128> sums_;
};

} // namespace

Verdict check(std::span<const std::int64_t> n, std::span<const Uint128> sums) {
  std::size_t right = 0;
  for (std::size_t k = 0; k < std::min(n.size(), sums.size()); ++k)
    right += sums[k] == closed_form(n[k]) ? 1 : 0;
  const bool ok = sums.size() == n.size() && right == n.size();
  return {.verify = ok ? Verify::ok : Verify::failed,
          .how = std::to_string(right) + " of " + std::to_string(n.size()) +
                 " sums equal (n-1) n (2n-1) / 6 exactly"};
}

} // namespace cleave::sum_squares

cleave::Workload sum_squares_workload() {
  using namespace cleave;
  return {.name = "sum_squares",
          .summary = "the exact sum of i^2 for i < n, term by term",
          .parameters = {{.name = "n",
                          .summary = "how many squares to add: a list of sums",
                          .type = ParameterType::integers,
                          .default_value = "1e6,2e6,3e6",
                          .minimum = 0,
                          .maximum = static_cast<double>(sum_squares::max_n)}},
          .prepare =
              [](const Values& values, Pool&) {
                return std::make_unique<sum_squares::SumSquares>(values.integers("n"));
              },
          .grow =
              [](const Values& values, double factor) {
                std::string grown;
                for (const std::int64_t n : values.integers("n"))
                  grown += (grown.empty() ? "" : ",") +
                           std::to_string(std::llround(factor * static_cast<double>(n)));
                return std::map<std::string, std::string>{{"n", grown}};
              }};
}
#endif
