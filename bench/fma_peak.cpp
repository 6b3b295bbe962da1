#include "fma_peak.hpp"

#include <array>
#include <cstddef>

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/fma_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
constexpr std::size_t chains =
    12; // more than latency x throughput of any core, fewer than registers

double chained_fmas(std::int64_t turns) {
  const Doubles d;
  const auto factor = hn::Set(d, 0.999999999);
  const auto term = hn::Set(d, 1e-9);
  std::array<hn::Vec<Doubles>, chains> values;
  values.fill(term);
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    HWY_UNROLL(12)
    for (std::size_t chain = 0; chain < chains; ++chain)
      values[chain] = hn::MulAdd(values[chain], factor, term);
  }
  auto sum = hn::Zero(d);
  for (const auto& value : values)
    sum = hn::Add(sum, value);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

std::int64_t fma_count() {
  return chains * hn::MaxLanes(Doubles());
}

} // namespace bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bench {

HWY_EXPORT(chained_fmas);
HWY_EXPORT(fma_count);

double chained_fmas(std::int64_t turns) {
  return HWY_DYNAMIC_DISPATCH(chained_fmas)(turns);
}

std::int64_t fma_count() {
  return HWY_DYNAMIC_DISPATCH(fma_count)();
}

} // namespace bench
#endif
