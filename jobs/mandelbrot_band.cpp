#include "jobs/mandelbrot_band.hpp"

#include "cleave/timings.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace cleave::mandelbrot {
namespace {

/// Pixels drawn at random, by rows: as many as the definition does in about 0.1 s.
std::vector<Sample> draw_samples(const View& view) {
  const std::int64_t count = std::clamp<std::int64_t>(20'000'000 / view.limit, 16, 4096);
  RandomStream random(0, 0, 0);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  std::vector<Sample> samples{{0, 0}, {view.rows - 1, view.columns - 1}};
  while (std::ssize(samples) < count)
    samples.push_back({below(view.rows), below(view.columns)});
  std::ranges::stable_sort(samples, {}, &Sample::row);
  return samples;
}

} // namespace

std::int64_t band_rows(const View& view) {
  constexpr std::int64_t packed_bytes = 32'768;
  return std::clamp<std::int64_t>(packed_bytes / (3 * view.columns), 1, view.rows);
}

ImageHeader header_of(const View& view) {
  return {.width = view.columns, .height = view.rows, .channels = 3, .bits = 8};
}

BandMaker::BandMaker(const Settings& settings, Kernel kernel)
    : view_(settings.view), kernel_(kernel), painter_(settings.palette, settings.cycle),
      samples_(draw_samples(view_)), png_(!settings.output.empty()), raw_(!settings.raw.empty()) {}

void BandMaker::add_row(std::int64_t row, std::span<const std::uint32_t> counts,
                        std::span<const float> smooth, std::span<const std::uint8_t> colours,
                        Band& band) const {
  band.rows.push_back({checksum(std::as_bytes(counts)), checksum(std::as_bytes(colours))});
  band.inside += std::ranges::count(counts, view_.limit);
  band.iterations = std::reduce(counts.begin(), counts.end(), band.iterations);
  for (const Sample& sample : std::ranges::equal_range(samples_, row, {}, &Sample::row)) {
    const auto column = static_cast<std::size_t>(sample.column);
    band.samples.push_back({counts[column], smooth[column]});
  }
}

BandParts BandMaker::make(std::int64_t task, Worker& worker) const {
  const std::int64_t first = task * band_rows(view_);
  const std::int64_t last = std::min(first + band_rows(view_), view_.rows);
  const auto width = static_cast<std::size_t>(view_.columns);
  const std::size_t pixels = static_cast<std::size_t>(last - first) * width;
  auto& [counts, smooth, colours] = worker.local<Workspace>();
  counts.resize(pixels);
  smooth.resize(width);
  colours.resize(3 * pixels);
  Band band;
  for (std::int64_t row = first; row < last; ++row) {
    const std::size_t at = static_cast<std::size_t>(row - first) * width;
    const auto row_counts = std::span(counts).subspan(at, width);
    const auto row_colours = std::span(colours).subspan(3 * at, 3 * width);
    kernel_(view_, row, row_counts, smooth);
    painter_.paint(row_counts, smooth, view_.limit, row_colours);
    add_row(row, row_counts, smooth, row_colours, band);
  }
  if (png_)
    band.png = pack_png_rows(header_of(view_), colours);
  if (raw_)
    band.raw = pack_grid_band(counts, band_rows(view_) * view_.columns);
  return {std::move(band.rows), std::move(band.samples), band.inside,
          band.iterations,      std::move(band.png),     std::move(band.raw)};
}

} // namespace cleave::mandelbrot
