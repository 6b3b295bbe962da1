// NAS EP: sums and counts of Gaussian deviates, checked against the published values. The plain
// loop:
//
//   for each pair (u, v):  t = u*u + v*v;  if (t <= 1) { f = sqrt(-2*log(t)/t);
//     sx += u*f;  sy += v*f;  counts[floor(max(|u*f|, |v*f|))] += 1; }
//
// Any number of the sequence can be reached at once (a^k by powers of two), so a batch of pairs is
// a task, and a vector's lanes each jump over the others.

#include "jobs/ep.hpp"

#include "cleave/pool.hpp"
#include "cleave/workload.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jobs/ep.cpp" // this file is compiled once for every instruction set
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::ep::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Words = hn::Rebind<std::uint64_t, Doubles>;
using Vector = hn::Vec<Doubles>;
using WordVector = hn::Vec<Words>;

// The generator's state x (46 bits) is kept as the 64-bit word 2^18 x - 2^63, read as a signed
// number. Then products mod 2^64 are products mod 2^46 without a mask; taking 2^63 away commutes
// with odd multipliers; and the number is 2^63 u: conversion to double is exact and needs no
// scaling. So all of u, v and t below carry the factors 2^63, 2^63 and 2^126, which the last step
// takes out again.
inline constexpr std::uint64_t multiplier = 1'220'703'125; // 5^13
inline constexpr std::uint64_t seed = 271'828'183;
inline constexpr int state_shift = 64 - 46;
inline constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;
inline constexpr double one_squared = 0x1p126;

/// base^k mod 2^64.
HWY_INLINE std::uint64_t power(std::uint64_t base, std::uint64_t k) {
  std::uint64_t result = 1;
  for (; k != 0; k >>= 1, base *= base)
    if ((k & 1) != 0)
      result *= base;
  return result;
}

/// A generator's word as a double: 2^63 u.
HWY_INLINE Vector to_double(WordVector word) {
  const Doubles d;
#if HWY_TARGET <= HWY_AVX3
  return hn::ConvertTo(d, hn::BitCast(hn::RebindToSigned<Words>(), word));
#else
  const Words w;
  // Without such an instruction: the bits as a fraction of a double in [1, 2), 1 + (1 + u) / 2.
  const auto fraction = hn::ShiftRight<12>(hn::Xor(word, hn::Set(w, sign_bit)));
  const auto bits = hn::Or(fraction, hn::Set(w, 0x3FF0'0000'0000'0000));
  return hn::MulAdd(hn::BitCast(d, bits), hn::Set(d, 0x1p64), hn::Set(d, -3 * 0x1p63));
#endif
}

/// sqrt(-2 ln T / T) of T = t / 2^126, times 2^-63, for T in (0, 1]; 0 at T = 1. To about 4e-16.
///
/// T = m 2^e with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1), ln T = e ln 2 + 2 atanh(s). Division
/// is the slowest step, so one reciprocal of (m+1) t serves both s and the division by T.
HWY_INLINE Vector deviate_factor(Vector t) {
  const Doubles d;
  const Words w;
  constexpr std::uint64_t one = 0x3FF0'0000'0000'0000;       // bits of 1.0
  constexpr std::uint64_t half_root = 0x3FE6'A09E'667F'3BCD; // bits of sqrt(1/2)
  constexpr std::uint64_t fraction_mask = 0x000F'FFFF'FFFF'FFFF;
  constexpr std::uint64_t two_52 = 0x4330'0000'0000'0000; // bits of 2^52: its last bit is worth 1

  const auto shifted = hn::Add(hn::BitCast(w, t), hn::Set(w, one - half_root));
  const auto exponent_bits = hn::Or(hn::ShiftRight<52>(shifted), hn::Set(w, two_52));
  const auto exponent = hn::Sub(hn::BitCast(d, exponent_bits), hn::Set(d, 0x1p52 + 1023 + 126));
  const auto fraction_bits = hn::And(shifted, hn::Set(w, fraction_mask));
  const auto m = hn::BitCast(d, hn::Add(fraction_bits, hn::Set(w, half_root)));

  const auto m_plus_1 = hn::Add(m, hn::Set(d, 1.0));
  const auto reciprocal = hn::Div(hn::Set(d, 1.0), hn::Mul(m_plus_1, t));
  const auto s = hn::Mul(hn::Mul(hn::Sub(m, hn::Set(d, 1.0)), t), reciprocal);
  const auto z = hn::Mul(s, s);
  // (atanh(s)/s - 1)/z by Chebyshev interpolation on z <= ((sqrt(2)-1)/(sqrt(2)+1))^2; the error
  // relative to atanh(s) is below 5e-18.
  auto series = hn::Set(d, 0.07308224842521703);
  series = hn::MulAdd(series, z, hn::Set(d, 0.07665860800278021));
  series = hn::MulAdd(series, z, hn::Set(d, 0.09091444562630861));
  series = hn::MulAdd(series, z, hn::Set(d, 0.1111110556739754));
  series = hn::MulAdd(series, z, hn::Set(d, 0.14285714312987743));
  series = hn::MulAdd(series, z, hn::Set(d, 0.19999999999949752));
  series = hn::MulAdd(series, z, hn::Set(d, 0.3333333333333335));
  const auto atanh = hn::MulAdd(hn::Mul(s, z), series, s);

  const auto of_exponent = hn::Mul(exponent, hn::Set(d, -2 * 0.69314718055994530942));
  const auto minus_2_log = hn::MulAdd(atanh, hn::Set(d, -4.0), of_exponent);
  return hn::Sqrt(hn::Mul(minus_2_log, hn::Mul(m_plus_1, reciprocal)));
}

/// Adds up how many of the lanes of m are at least k, for k = 1 ... 9.
HWY_INLINE void count_at_least(Vector m, std::array<std::int64_t, 10>& at_least) {
  const Doubles d;
  const auto add = [&](std::size_t k) HWY_ATTR {
    const auto found = hn::CountTrue(d, hn::Ge(m, hn::Set(d, static_cast<double>(k))));
    at_least[k] += static_cast<std::int64_t>(found);
    return found;
  };
  add(1);
  add(2);
  add(3);
  if (HWY_UNLIKELY(add(4) != 0)) // one pair in 8,000
    for (std::size_t k = 5; k < at_least.size(); ++k)
      add(k);
}

/// A rejected pair costs as much as an accepted one: with t = 1 in its place it adds nothing to the
/// sums. Measured, packing the accepted pairs first is slower by far.
Sums sums_of_pairs(std::int64_t first, std::int64_t pairs) {
  const Doubles d;
  const Words w;
  constexpr std::size_t lanes = hn::MaxLanes(d);
  HWY_ALIGN std::array<std::uint64_t, lanes> words_u;
  HWY_ALIGN std::array<std::uint64_t, lanes> words_v;
  std::uint64_t word = seed * power(multiplier, 2 * static_cast<std::uint64_t>(first));
  word = (word << state_shift) ^ sign_bit;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    words_u[lane] = word *= multiplier;
    words_v[lane] = word *= multiplier;
  }
  auto next_u = hn::Load(w, words_u.data());
  auto next_v = hn::Load(w, words_v.data());
  const auto jump = hn::Set(w, power(multiplier, 2 * lanes));

  Sums sums;
  auto sum_x = hn::Zero(d);
  auto sum_y = hn::Zero(d);
  std::array<std::int64_t, 10> at_least{};
  for (std::int64_t done = 0; done < pairs; done += lanes) {
    const auto u = to_double(next_u);
    const auto v = to_double(next_v);
    next_u = hn::Mul(next_u, jump);
    next_v = hn::Mul(next_v, jump);
    const auto t = hn::MulAdd(u, u, hn::Mul(v, v));
    const auto accepted = hn::Le(t, hn::Set(d, one_squared));
    sums.accepted += static_cast<std::int64_t>(hn::CountTrue(d, accepted));
    const auto f = deviate_factor(hn::IfThenElse(accepted, t, hn::Set(d, one_squared)));
    const auto x = hn::Mul(u, f);
    const auto y = hn::Mul(v, f);
    sum_x = hn::Add(sum_x, x);
    sum_y = hn::Add(sum_y, y);
    count_at_least(hn::Max(hn::Abs(x), hn::Abs(y)), at_least);
  }

  sums.x = hn::GetLane(hn::SumOfLanes(d, sum_x));
  sums.y = hn::GetLane(hn::SumOfLanes(d, sum_y));
  at_least[0] = sums.accepted; // or a sum above is not a number, which the check refuses
  for (std::size_t k = 0; k < at_least.size(); ++k)
    sums.counts[k] = at_least[k] - (k + 1 < at_least.size() ? at_least[k + 1] : 0);
  return sums;
}

} // namespace cleave::ep::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::ep {

HWY_EXPORT(sums_of_pairs);

Sums sums_of_pairs(std::int64_t first, std::int64_t pairs) {
  return HWY_DYNAMIC_DISPATCH(sums_of_pairs)(first, pairs);
}

Sums& Sums::operator+=(const Sums& other) noexcept {
  x += other.x;
  y += other.y;
  for (std::size_t k = 0; k < counts.size(); ++k)
    counts[k] += other.counts[k];
  accepted += other.accepted;
  return *this;
}

namespace {

using Counts = std::array<std::int64_t, 10>;

/// A problem size and what NPB 3 publishes of its answer.
struct Class {
  std::string_view name;
  int log2_pairs;
  double x;
  double y;
  std::optional<Counts> counts;
};

constexpr std::array<Class, 7> classes = {{
    {"S", 24, -3.247834652034740e+3, -6.958407078382297e+3,
     Counts{6'140'517, 5'865'300, 1'100'361, 68'546, 1'648, 17}},
    {"W", 25, -2.863319731645753e+3, -6.320053679109499e+3, {}},
    {"A", 28, -4.295875165629892e+3, -1.580732573678431e+4,
     Counts{98'257'395, 93'827'014, 17'611'549, 1'110'028, 26'536, 245}},
    {"B", 30, 4.033815542441498e+4, -2.660669192809235e+4,
     Counts{393'058'470, 375'280'898, 70'460'742, 4'438'852, 105'691, 948, 5}},
    {"C", 32, 4.764367927995374e+4, -8.084072988043731e+4, {}},
    {"D", 36, 1.982481200946593e+5, -1.020596636361769e+5, {}},
    {"E", 40, -5.319717441530e+5, -3.688834557731e+5, {}},
}};

/// The class of this name. @pre the parameter's choices admit no other
const Class& find_class(std::string_view name) {
  return *std::ranges::find(classes, name, &Class::name);
}

double relative_error(double value, double reference) {
  return std::abs(value - reference) / std::abs(reference);
}

std::string scientific(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1e", value);
  return text.data();
}

/// A task is a batch of pairs; two of them are worth a leaf of 0.2 ms.
class Ep : public Job {
public:
  explicit Ep(const Class& chosen) : class_(chosen) {}

  [[nodiscard]] std::int64_t tasks() const override { return pairs() / batch_pairs; }
  [[nodiscard]] std::int64_t leaves() const override { return Leaves(tasks(), grain).count(); }
  [[nodiscard]] double work() const override { return 2 * static_cast<double>(pairs()); }
  [[nodiscard]] std::string unit() const override { return "random numbers"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override { return {"Mop/s", 1e-6}; }

  void run(Pool& pool) override {
    const auto of_leaf = [](TaskRange batches) {
      return sums_of_pairs(batches.first * batch_pairs, batches.size() * batch_pairs);
    };
    const auto add = [](Sums left, const Sums& right) { return left += right; };
    sums_ = pool.reduce_ranges(of_leaf, tasks(), add, Sums{}, LeafOptions{.grain = grain});
  }

  [[nodiscard]] Verdict check() override { return ep::check(class_.name, sums_); }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(&sums_, 1));
  }
  [[nodiscard]] Summary summary() const override {
    return {{"sx", sums_.x},
            {"sy", sums_.y},
            {"counts", std::vector<std::int64_t>(sums_.counts.begin(), sums_.counts.end())}};
  }

private:
  static constexpr std::int64_t grain = 2;

  [[nodiscard]] std::int64_t pairs() const { return std::int64_t{1} << class_.log2_pairs; }

  const Class& class_;
  Sums sums_;
};

} // namespace

Verdict check(std::string_view class_name, const Sums& sums) {
  constexpr double tolerance = 1e-8; // NPB's
  const Class& expected = find_class(class_name);
  const double error_x = relative_error(sums.x, expected.x);
  const double error_y = relative_error(sums.y, expected.y);
  const std::int64_t counted = std::reduce(sums.counts.begin(), sums.counts.end());
  const bool counts_agree =
      counted == sums.accepted && (!expected.counts || sums.counts == *expected.counts);
  // A NaN compares false, so it fails.
  const bool ok = error_x <= tolerance && error_y <= tolerance && counts_agree;
  return {.verify = ok ? Verify::ok : Verify::failed,
          .how =
              "class " + std::string(class_name) + " of NPB 3: sx and sy differ by " +
              scientific(error_x) + " and " + scientific(error_y) + " (relative, at most " +
              scientific(tolerance) + "), counts " +
              (expected.counts ? "against the published ones: " : "against the accepted pairs: ") +
              (counts_agree ? "equal" : "different")};
}

} // namespace cleave::ep

cleave::Workload ep_workload() {
  using namespace cleave;
  Parameter size{.name = "class",
                 .summary = "problem size: 2^M pairs, M = 24 25 28 30 32 36 40",
                 .type = ParameterType::text,
                 .default_value = "S"};
  for (const auto& one : ep::classes)
    size.choices.emplace_back(one.name);
  return {.name = "ep",
          .summary = "NAS EP: sums and counts of pairs of Gaussian deviates",
          .parameters = {size},
          .prepare = [](const Values& values, Pool&) {
            return std::make_unique<ep::Ep>(ep::find_class(values.text("class")));
          }};
}
#endif
