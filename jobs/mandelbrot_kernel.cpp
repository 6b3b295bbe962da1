// The kernel of the workload mandelbrot, and the definition that checks compare it with.
#include "jobs/mandelbrot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jobs/mandelbrot_kernel.cpp" // compiled for every instruction set
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace cleave::mandelbrot::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sums and products are rounded each by itself: no MulAdd, and jobs/CMakeLists.txt keeps the
// compiler from joining them. So every instruction set computes the same bits.
using Doubles = hn::ScalableTag<double>;
using Words = hn::Rebind<std::uint64_t, Doubles>;
using Counts = hn::Rebind<std::int32_t, Doubles>;
using Floats = hn::Rebind<float, Doubles>;
using Vector = hn::Vec<Doubles>;

/// Orbits of a vector of pixels.
struct Orbits {
  Vector x, y, xx, yy; // z and the squares of its parts
  Vector norm;         // |z|^2, of the first z beyond where there is one
  Vector count;
};

HWY_INLINE Orbits begin() {
  const auto zero = hn::Zero(Doubles());
  return {zero, zero, zero, zero, zero, zero};
}

/// One more iteration; orbits that have escaped keep norm and count. What z overflows to later
/// compares as false and does no harm.
/// @return whether one has not escaped
HWY_INLINE bool advance(Orbits& o, Vector cx, Vector cy) {
  const Doubles d;
  const auto xy = hn::Mul(o.x, o.y);
  o.x = hn::Add(hn::Sub(o.xx, o.yy), cx);
  o.y = hn::Add(hn::Add(xy, xy), cy);
  o.xx = hn::Mul(o.x, o.x);
  o.yy = hn::Mul(o.y, o.y);
  const auto bound = hn::Set(d, escape_squared);
  o.norm = hn::IfThenElse(hn::Le(o.norm, bound), hn::Add(o.xx, o.yy), o.norm);
  const auto near = hn::Le(o.norm, bound);
  o.count = hn::Add(o.count, hn::IfThenElseZero(near, hn::Set(d, 1.0)));
  return !hn::AllFalse(d, near);
}

/// log2 of v > 0, to 1e-7: v = m 2^e with m in [sqrt(1/2), sqrt(2)), s = (m-1)/(m+1), ln m = 2
/// atanh(s).
HWY_INLINE Vector log2(Vector v) {
  const Doubles d;
  const Words w;
  constexpr std::uint64_t one = 0x3FF0'0000'0000'0000;       // bits of 1.0
  constexpr std::uint64_t half_root = 0x3FE6'A09E'667F'3BCD; // bits of sqrt(1/2)
  constexpr std::uint64_t fraction_mask = 0x000F'FFFF'FFFF'FFFF;
  constexpr std::uint64_t two_52 = 0x4330'0000'0000'0000; // bits of 2^52: its last bit is worth 1
  const auto shifted = hn::Add(hn::BitCast(w, v), hn::Set(w, one - half_root));
  const auto exponent_bits = hn::Or(hn::ShiftRight<52>(shifted), hn::Set(w, two_52));
  const auto exponent = hn::Sub(hn::BitCast(d, exponent_bits), hn::Set(d, 0x1p52 + 1023));
  const auto fraction = hn::And(shifted, hn::Set(w, fraction_mask));
  const auto m = hn::BitCast(d, hn::Add(fraction, hn::Set(w, half_root)));
  const auto s = hn::Div(hn::Sub(m, hn::Set(d, 1.0)), hn::Add(m, hn::Set(d, 1.0)));
  const auto z = hn::Mul(s, s);
  constexpr double two_over_ln2 = 2 / 0.69314718055994530942;
  auto series = hn::Set(d, two_over_ln2 / 7);
  for (const double k : {5.0, 3.0, 1.0})
    series = hn::Add(hn::Mul(series, z), hn::Set(d, two_over_ln2 / k));
  return hn::Add(exponent, hn::Mul(series, s));
}

/// Escape::smooth, 0 inside.
HWY_INLINE Vector smooth_of(const Orbits& o) {
  const Doubles d;
  const auto log_ratio = hn::Mul(log2(o.norm), hn::Set(d, 0.125)); // log |z| / log 16
  const auto smooth = hn::Sub(hn::Add(o.count, hn::Set(d, 1.0)), log2(log_ratio));
  const auto outside = hn::Gt(o.norm, hn::Set(d, escape_squared));
  return hn::IfThenElseZero(outside, hn::Max(smooth, hn::Zero(d)));
}

/// Two vectors of pixels at once: one's latency hides behind the other.
void escape_row(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                std::span<float> smooth) {
  const Doubles d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  constexpr std::size_t most = 2 * hn::MaxLanes(d);
  HWY_ALIGN std::array<double, most> x;
  HWY_ALIGN std::array<std::int32_t, most> count;
  HWY_ALIGN std::array<float, most> value;
  const auto cy = hn::Set(d, view.y(row));
  for (std::int64_t first = 0; first < view.columns; first += 2 * lanes) {
    for (std::int64_t i = 0; i < 2 * lanes; ++i) // past the end of the row, pixels like the last
      x[static_cast<std::size_t>(i)] = view.x(std::min(first + i, view.columns - 1));
    const auto cx_a = hn::Load(d, x.data());
    const auto cx_b = hn::Load(d, x.data() + lanes);
    Orbits a = begin();
    Orbits b = begin();
    for (std::int64_t k = 0; k < view.limit; ++k) {
      const bool near_a = advance(a, cx_a, cy);
      const bool near_b = advance(b, cx_b, cy);
      if (!near_a && !near_b)
        break;
    }
    hn::Store(hn::DemoteTo(Counts(), a.count), Counts(), count.data());
    hn::Store(hn::DemoteTo(Counts(), b.count), Counts(), count.data() + lanes);
    hn::Store(hn::DemoteTo(Floats(), smooth_of(a)), Floats(), value.data());
    hn::Store(hn::DemoteTo(Floats(), smooth_of(b)), Floats(), value.data() + lanes);
    const auto pixels = static_cast<std::size_t>(std::min(2 * lanes, view.columns - first));
    std::copy_n(count.begin(), pixels, counts.begin() + first);
    std::copy_n(value.begin(), pixels, smooth.begin() + first);
  }
}

} // namespace cleave::mandelbrot::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::mandelbrot {

HWY_EXPORT(escape_row);

void escape_row(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                std::span<float> smooth) {
  HWY_DYNAMIC_DISPATCH(escape_row)(view, row, counts, smooth);
}

Escape define_pixel(const View& view, std::int64_t row, std::int64_t column) {
  const double a = view.x(column);
  const double b = view.y(row);
  double x = 0;
  double y = 0;
  for (std::int64_t k = 0; k < view.limit; ++k) {
    const double next = x * x - y * y + a;
    y = 2 * x * y + b;
    x = next;
    const double norm = x * x + y * y;
    if (!(norm <= escape_squared))
      return {static_cast<std::uint32_t>(k),
              static_cast<float>(
                  std::max(0.0, static_cast<double>(k) + 1 - std::log2(std::log2(norm) / 8)))};
  }
  return {static_cast<std::uint32_t>(view.limit), 0};
}

} // namespace cleave::mandelbrot
#endif
