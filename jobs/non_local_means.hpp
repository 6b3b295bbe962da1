/// @file
/// Non-local means (Buades, Coll and Morel, CVPR 2005, doi:10.1109/CVPR.2005.38): every pixel
/// becomes the weighted mean of the pixels around it whose patches look alike. Twice: a plain
/// definition, and a fast one of the same answer.
///
/// With values in [0, 1], pixel p becomes sum_q w(p, q) I(q) / sum_q w(p, q) over the pixels q of
/// the image at most r rows and columns away, where
///   w(p, q) = exp(-max(d^2 - 2 sigma^2, 0) / h^2), w(p, p) = 1,
/// and d^2 is the mean squared difference over colours and over the patches of (2f+1) x (2f+1)
/// pixels around p and q. Patches reflect at the border without repeating it. Alpha passes through.
#pragma once

#include "cleave/data.hpp"
#include "cleave/range.hpp"

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

namespace cleave::nlm {

struct Settings {
  int f = 2;           ///< patch radius, pixels
  int r = 6;           ///< search radius, pixels
  double h = 0.064;    ///< filter strength, in units of the full range
  double sigma = 0.08; ///< standard deviation of the noise, in units of the full range
};

/// Row or column `i` of `n`, reflected into [0, n) without repeating the border. Local.
[[nodiscard]] std::int64_t reflect(std::int64_t i, std::int64_t n) noexcept;

/// The plain definition for one pixel, written to be read; the check of the fast one. Local,
/// thread-safe, O((2r+1)^2 (2f+1)^2).
/// @param out image.channels values, in sample units (0 to image.full()), not rounded
void define_pixel(const Image& image, const Settings& settings, std::int64_t y, std::int64_t x,
                  std::span<double> out);

/// Rows to filter, with the rows that they depend on.
struct Band {
  ImageHeader whole; ///< the whole image's shape
  Settings settings;
  TaskRange rows;    ///< to filter
  TaskRange in_rows; ///< rows of `in`: r + f more on both sides, clipped to the image
  std::span<const std::uint16_t> in; ///< samples, in_rows.size() * width * channels
  std::span<double> out; ///< rows.size() * width * channels values, in sample units, not rounded
};

/// Aligned memory that only grows.
template <class T>
class Buffer {
public:
  /// Room for `count` values, whose old contents may be lost. @throws std::bad_alloc
  T* sized(std::int64_t count) {
    const auto wanted = static_cast<std::size_t>(count);
    if (wanted > size_) {
      data_ = hwy::AllocateAligned<T>(wanted);
      if (!data_)
        throw std::bad_alloc();
      size_ = wanted;
    }
    return data_.get();
  }

private:
  hwy::AlignedFreeUniquePtr<T[]> data_;
  std::size_t size_ = 0;
};

/// Memory of filter_rows, kept between its calls. Belongs to one thread.
struct Scratch {
  template <class T>
  struct Planes {
    Buffer<T> light, outside, column_sums, box_sums;
  };
  Planes<float> narrow;
  Planes<double> wide;
  Buffer<double> totals;
};

/// Filters the rows of a band. What a row becomes depends neither on `band.rows` nor on how the
/// image is cut. Local, (2r+1)^2 / 2 weights a pixel, each 2f + 50 operations or so; vectorised for
/// the processor at hand, so that last bits differ between instruction sets.
void filter_rows(const Band& band, Scratch& scratch);

} // namespace cleave::nlm
