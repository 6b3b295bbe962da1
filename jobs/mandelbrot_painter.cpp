// The colours of the workload mandelbrot.
#include "jobs/mandelbrot.hpp"

#include <algorithm>
#include <cmath>

namespace cleave::mandelbrot {
namespace {

using Colour = Painter::Colour;

constexpr std::array<Colour, 7> dusk = {{{4, 6, 60},
                                         {12, 60, 150},
                                         {70, 150, 220},
                                         {236, 250, 255},
                                         {255, 200, 60},
                                         {190, 80, 10},
                                         {50, 8, 30}}};
constexpr std::array<Colour, 6> fire = {
    {{10, 0, 0}, {140, 10, 0}, {240, 100, 0}, {255, 220, 80}, {255, 255, 230}, {120, 20, 0}}};
constexpr std::array<Colour, 5> ocean = {
    {{0, 10, 30}, {0, 60, 100}, {20, 140, 160}, {180, 240, 220}, {20, 90, 140}}};
constexpr std::array<Colour, 2> grey = {{{20, 20, 20}, {250, 250, 250}}};

/// Colours of a turn of a palette, evenly spaced; the last leads over to the first.
struct Palette {
  std::string_view name;
  std::span<const Colour> stops;
};
constexpr std::array<Palette, 4> palettes = {
    {{"dusk", dusk}, {"fire", fire}, {"ocean", ocean}, {"grey", grey}}};

} // namespace

std::vector<std::string> Painter::names() {
  std::vector<std::string> names;
  for (const Palette& palette : palettes)
    names.emplace_back(palette.name);
  return names;
}

Painter::Painter(std::string_view palette, double cycle) : scale_(static_cast<float>(1 / cycle)) {
  const auto stops = std::ranges::find(palettes, palette, &Palette::name)->stops;
  const auto whole = static_cast<int>(turn_.size());
  for (std::size_t i = 0; i < turn_.size(); ++i) {
    const std::size_t at = i * stops.size();
    const Colour& from = stops[at / turn_.size()];
    const Colour& to = stops[(at / turn_.size() + 1) % stops.size()];
    const auto share = static_cast<int>(at % turn_.size());
    for (std::size_t c = 0; c < from.size(); ++c)
      turn_[i][c] = static_cast<std::uint8_t>(
          (from[c] * (whole - share) + to[c] * share + whole / 2) / whole);
  }
}

void Painter::paint(std::span<const std::uint32_t> counts, std::span<const float> smooth,
                    std::int64_t limit, std::span<std::uint8_t> to) const {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const float turns = std::sqrt(smooth[i] * scale_);
    const auto at = static_cast<std::size_t>(turns * static_cast<float>(turn_.size()));
    const Colour colour = counts[i] == limit ? Colour{} : turn_[at % turn_.size()];
    std::ranges::copy(colour, to.begin() + static_cast<std::ptrdiff_t>(colour.size() * i));
  }
}

} // namespace cleave::mandelbrot
