#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jobs/non_local_means.cpp"
#include "jobs/non_local_means.hpp"

#include <hwy/foreach_target.h> // includes this file once more for each instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace cleave::nlm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Weights below exp(-50) are nothing beside the centre's weight of 1.
inline constexpr double vanishing = 50;
/// The most lanes that a vector here has; rows are padded to it.
inline constexpr std::int64_t lanes = 16;

constexpr std::int64_t padded(std::int64_t n) {
  return (n + lanes - 1) / lanes * lanes;
}

/// A vector of doubles from floats or doubles.
template <class D>
HWY_INLINE hn::Vec<D> load_double(D d, const float* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), from));
}
template <class D>
HWY_INLINE hn::Vec<D> load_double(D d, const double* from) {
  return hn::LoadU(d, from);
}

/// 2^x for -1000 < x <= 0 to 1e-14: the whole part goes into the exponent, the rest, in
/// [-1/2, 1/2], through the Taylor series of 2^x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V power_of_two(D d, V x) {
  const hn::RebindToSigned<D> bits;
  // Adding 1.5 * 2^52 leaves the nearest whole number in the lowest bits.
  const V shift = hn::Set(d, 0x1.8p52);
  const V shifted = hn::Add(x, shift);
  const V rest = hn::Sub(x, hn::Sub(shifted, shift));
  constexpr double terms[] = {
      4.4455382718708114976e-10, 7.0549116208011233299e-09, 1.0178086009239699728e-07,
      1.3215486790144309488e-06, 1.5252733804059840280e-05, 1.5403530393381609954e-04,
      1.3333558146428443423e-03, 9.6181291076284771619e-03, 5.5504108664821579953e-02,
      2.4022650695910071233e-01, 6.9314718055994530942e-01, 1.0};
  V sum = hn::Set(d, terms[0]);
  for (std::size_t i = 1; i < std::size(terms); ++i)
    sum = hn::MulAdd(sum, rest, hn::Set(d, terms[i]));
  const auto exponent = hn::ShiftLeft<52>(hn::BitCast(bits, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(bits, sum), exponent));
}

/// The filter for `colours` colours, its squared differences summed in T: whole numbers that T
/// holds exactly, so that sums may slide along a column without losing anything.
///
/// Each weight is computed once and serves both of its pixels. All passes run row by row over one
/// vertical distance dy at a time; a pixel's weights add up in an order that its position alone
/// decides.
template <class T, int colours>
class Filter {
public:
  Filter(const Band& band, Scratch& scratch)
      : band_(band), f_(band.settings.f), r_(band.settings.r), width_(band.whole.width),
        height_(band.whole.height), first_(std::max<std::int64_t>(0, band.rows.first - r_)),
        last_(std::min(height_, band.rows.last + r_)), margin_(padded(f_) + padded(r_)),
        stride_(padded(width_) + 2 * margin_) {
    auto& planes = planes_of(scratch);
    light_ = planes.light.sized((last_ - first_ + 2 * f_) * colours * stride_);
    outside_ = planes.outside.sized(stride_);
    column_sums_ = planes.column_sums.sized((2 * r_ + 1) * stride_);
    box_sums_ = planes.box_sums.sized((2 * r_ + 1) * stride_);
    totals_ = scratch.totals.sized((last_ - first_) * (colours + 1) * stride_);
  }

  void run() {
    fill_light();
    fill_outside();
    start_totals();
    for (std::int64_t dy = 0; dy <= r_; ++dy)
      pair_rows(dy);
    write();
  }

private:
  static Scratch::Planes<T>& planes_of(Scratch& scratch) {
    if constexpr (std::is_same_v<T, float>)
      return scratch.narrow;
    else
      return scratch.wide;
  }

  using DT = hn::CappedTag<T, lanes>;
  using DD = hn::CappedTag<double, lanes / 2>;

  /// One colour of row y, f rows beyond the band included; index 0 is the first pixel.
  T* light(std::int64_t y, int colour) const {
    return light_ + ((y - first_ + f_) * colours + colour) * stride_ + margin_;
  }
  /// Sums of weights (plane 0) and of weighted colours (planes 1...) of row y.
  double* totals(std::int64_t y, int plane) const {
    return totals_ + ((y - first_) * (colours + 1) + plane) * stride_ + margin_;
  }
  T* column_sums(std::int64_t dx) const { return column_sums_ + (dx + r_) * stride_ + margin_; }
  T* box_sums(std::int64_t dx) const { return box_sums_ + (dx + r_) * stride_ + margin_; }

  void fill_light() {
    for (std::int64_t y = first_ - f_; y < last_ + f_; ++y) {
      const std::uint16_t* row = band_.in.data() + (reflect(y, height_) - band_.in_rows.first) *
                                                       width_ * band_.whole.channels;
      for (int c = 0; c < colours; ++c) {
        T* plane = light(y, c);
        for (std::int64_t x = 0; x < width_; ++x)
          plane[x] = row[x * band_.whole.channels + c];
        for (std::int64_t x = 1; x <= margin_; ++x)
          plane[-x] = plane[reflect(-x, width_)];
        for (std::int64_t x = width_; x < stride_ - margin_; ++x)
          plane[x] = plane[reflect(x, width_)];
      }
    }
  }

  /// Added to the sums of patches, this makes the weight of a pair vanish unless both are inside.
  void fill_outside() {
    std::fill_n(outside_, stride_, T{1e30F});
    std::fill_n(outside_ + margin_, width_, T{0});
  }

  /// The centre's weight is 1.
  void start_totals() {
    for (std::int64_t y = first_; y < last_; ++y) {
      std::fill_n(totals(y, 0) - margin_, stride_, 1.0);
      for (int c = 0; c < colours; ++c)
        std::copy_n(light(y, c) - margin_, stride_, totals(y, c + 1) - margin_);
    }
  }

  /// Every pair of a pixel in row y and one in row y + dy where one of the rows is wanted.
  void pair_rows(std::int64_t dy) {
    const std::int64_t begin = std::max(first_, band_.rows.first - dy);
    const std::int64_t end = std::min(band_.rows.last, height_ - dy);
    for (std::int64_t y = begin; y < end; ++y) {
      for (std::int64_t dx = dy == 0 ? 1 : -r_; dx <= r_; ++dx) {
        if (y == begin)
          start_columns(y, dy, dx);
        else
          slide_columns(y, dy, dx);
        sum_boxes(dx);
      }
      weigh(y, dy);
    }
  }

  /// The squared difference of (y, x) and (y + dy, x + dx), over a vector of x.
  HWY_INLINE hn::Vec<DT> difference(const T* here, const T* there) const {
    const DT d;
    hn::Vec<DT> sum = hn::Zero(d);
    for (int c = 0; c < colours; ++c) {
      const auto gap = hn::Sub(hn::LoadU(d, here + c * stride_), hn::LoadU(d, there + c * stride_));
      sum = hn::MulAdd(gap, gap, sum);
    }
    return sum;
  }

  void start_columns(std::int64_t y, std::int64_t dy, std::int64_t dx) {
    const DT d;
    T* sums = column_sums(dx);
    for (std::int64_t x = -padded(f_); x < padded(width_) + padded(f_); x += step_t) {
      auto sum = hn::Zero(d);
      for (std::int64_t t = -f_; t <= f_; ++t)
        sum = hn::Add(sum, difference(light(y + t, 0) + x, light(y + t + dy, 0) + x + dx));
      hn::Store(sum, d, sums + x);
    }
  }

  void slide_columns(std::int64_t y, std::int64_t dy, std::int64_t dx) {
    const DT d;
    T* sums = column_sums(dx);
    const T* out_here = light(y - f_ - 1, 0);
    const T* out_there = light(y - f_ - 1 + dy, 0) + dx;
    const T* in_here = light(y + f_, 0);
    const T* in_there = light(y + f_ + dy, 0) + dx;
    for (std::int64_t x = -padded(f_); x < padded(width_) + padded(f_); x += step_t) {
      const auto change =
          hn::Sub(difference(in_here + x, in_there + x), difference(out_here + x, out_there + x));
      hn::Store(hn::Add(hn::Load(d, sums + x), change), d, sums + x);
    }
  }

  void sum_boxes(std::int64_t dx) {
    const DT d;
    const T* columns = column_sums(dx);
    T* boxes = box_sums(dx);
    const T* outside = outside_ + margin_;
    for (std::int64_t x = 0; x < padded(width_); x += step_t) {
      auto sum = hn::Add(hn::Load(d, outside + x), hn::LoadU(d, outside + x + dx));
      for (std::int64_t t = -f_; t <= f_; ++t)
        sum = hn::Add(sum, hn::LoadU(d, columns + x + t));
      hn::Store(sum, d, boxes + x);
    }
  }

  void weigh(std::int64_t y, std::int64_t dy) {
    const DD d;
    const double full = band_.whole.bits == 16 ? 65'535 : 255;
    const double log2_e = 1.4426950408889634074;
    const double h2 = band_.settings.h * band_.settings.h;
    const double side = 2.0 * band_.settings.f + 1;
    const auto scale = hn::Set(d, -log2_e / (full * full * side * side * colours * h2));
    const auto noise = hn::Set(d, 2 * band_.settings.sigma * band_.settings.sigma * log2_e / h2);
    const auto least = hn::Set(d, -vanishing * log2_e);
    const std::int64_t first_dx = dy == 0 ? 1 : -r_;
    for (std::int64_t x = 0; x < padded(width_); x += step_d) {
      hn::Vec<DD> here[colours];
      hn::Vec<DD> gained[colours + 1];
      gained[0] = hn::Zero(d);
      for (int c = 0; c < colours; ++c) {
        here[c] = load_double(d, light(y, c) + x);
        gained[c + 1] = hn::Zero(d);
      }
      const T* there = light(y + dy, 0) + x;
      double* theirs = totals(y + dy, 0) + x;
      for (std::int64_t dx = first_dx; dx <= r_; ++dx) {
        const auto power =
            hn::Min(hn::MulAdd(load_double(d, box_sums(dx) + x), scale, noise), hn::Zero(d));
        const auto counts = hn::Gt(power, least);
        if (hn::AllFalse(d, counts))
          continue;
        const auto weight = hn::IfThenElseZero(counts, power_of_two(d, power));
        gained[0] = hn::Add(gained[0], weight);
        hn::StoreU(hn::Add(hn::LoadU(d, theirs + dx), weight), d, theirs + dx);
        for (int c = 0; c < colours; ++c) {
          gained[c + 1] =
              hn::MulAdd(weight, load_double(d, there + c * stride_ + dx), gained[c + 1]);
          double* total = theirs + (c + 1) * stride_ + dx;
          hn::StoreU(hn::MulAdd(weight, here[c], hn::LoadU(d, total)), d, total);
        }
      }
      for (int plane = 0; plane <= colours; ++plane) {
        double* total = totals(y, plane) + x;
        hn::Store(hn::Add(hn::Load(d, total), gained[plane]), d, total);
      }
    }
  }

  void write() {
    const int channels = band_.whole.channels;
    for (std::int64_t y = band_.rows.first; y < band_.rows.last; ++y) {
      double* out = band_.out.data() + (y - band_.rows.first) * width_ * channels;
      for (int c = 0; c < colours; ++c)
        for (std::int64_t x = 0; x < width_; ++x)
          out[x * channels + c] = totals(y, c + 1)[x] / totals(y, 0)[x];
      if (channels == colours)
        continue;
      const std::uint16_t* in = band_.in.data() + (y - band_.in_rows.first) * width_ * channels;
      for (std::int64_t x = 0; x < width_; ++x)
        out[x * channels + colours] = in[x * channels + colours];
    }
  }

  static constexpr auto step_t = static_cast<std::int64_t>(hn::MaxLanes(DT()));
  static constexpr auto step_d = static_cast<std::int64_t>(hn::MaxLanes(DD()));

  Band band_;
  std::int64_t f_, r_, width_, height_;
  std::int64_t first_, last_; // the band's rows and those that a weight can reach
  std::int64_t margin_, stride_;
  T* light_;
  T* outside_;
  T* column_sums_;
  T* box_sums_;
  double* totals_;
};

/// float holds whole numbers to 2^24, double to 2^53: the widest sum decides.
void filter_band(const Band& band, Scratch& scratch) {
  const bool colour = band.whole.channels >= 3;
  const double full = band.whole.bits == 16 ? 65'535 : 255;
  const double side = 2 * band.settings.f + 1;
  const bool narrow = full * full * side * side * (colour ? 3 : 1) <= 0x1p24;
  if (narrow && colour)
    Filter<float, 3>(band, scratch).run();
  else if (narrow)
    Filter<float, 1>(band, scratch).run();
  else if (colour)
    Filter<double, 3>(band, scratch).run();
  else
    Filter<double, 1>(band, scratch).run();
}

} // namespace cleave::nlm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace cleave::nlm {

HWY_EXPORT(filter_band);

void filter_rows(const Band& band, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(filter_band)(band, scratch);
}

} // namespace cleave::nlm
#endif
