#include "jobs/non_local_means.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace cleave::nlm {

std::int64_t reflect(std::int64_t i, std::int64_t n) noexcept {
  if (i >= 0 && i < n)
    return i;
  if (n == 1)
    return 0;
  const std::int64_t period = 2 * (n - 1);
  const std::int64_t folded = ((i % period) + period) % period;
  return folded < n ? folded : period - folded;
}

namespace {

/// d^2 of the definition.
double patch_distance(const Image& image, int f, std::int64_t py, std::int64_t px, std::int64_t qy,
                      std::int64_t qx) {
  const auto value = [&](std::int64_t y, std::int64_t x, int c) {
    const std::int64_t at =
        (reflect(y, image.height) * image.width + reflect(x, image.width)) * image.channels + c;
    return image.samples[static_cast<std::size_t>(at)] / static_cast<double>(image.full());
  };
  double sum = 0;
  for (int ty = -f; ty <= f; ++ty)
    for (int tx = -f; tx <= f; ++tx)
      for (int c = 0; c < image.colours(); ++c) {
        const double gap = value(py + ty, px + tx, c) - value(qy + ty, qx + tx, c);
        sum += gap * gap;
      }
  return sum / ((2.0 * f + 1) * (2.0 * f + 1) * image.colours());
}

} // namespace

void define_pixel(const Image& image, const Settings& settings, std::int64_t y, std::int64_t x,
                  std::span<double> out) {
  const auto sample = [&](std::int64_t qy, std::int64_t qx, int c) {
    return static_cast<double>(
        image.samples[static_cast<std::size_t>((qy * image.width + qx) * image.channels + c)]);
  };
  std::array<double, 3> sums{};
  double weights = 0;
  for (std::int64_t qy = std::max<std::int64_t>(0, y - settings.r);
       qy <= std::min(image.height - 1, y + settings.r); ++qy)
    for (std::int64_t qx = std::max<std::int64_t>(0, x - settings.r);
         qx <= std::min(image.width - 1, x + settings.r); ++qx) {
      const double d2 = patch_distance(image, settings.f, y, x, qy, qx);
      const double weight = std::exp(-std::max(d2 - 2 * settings.sigma * settings.sigma, 0.0) /
                                     (settings.h * settings.h));
      weights += weight;
      for (int c = 0; c < image.colours(); ++c)
        sums[static_cast<std::size_t>(c)] += weight * sample(qy, qx, c);
    }
  for (int c = 0; c < image.colours(); ++c)
    out[static_cast<std::size_t>(c)] = sums[static_cast<std::size_t>(c)] / weights;
  if (image.has_alpha())
    out[static_cast<std::size_t>(image.colours())] = sample(y, x, image.colours());
}

} // namespace cleave::nlm
