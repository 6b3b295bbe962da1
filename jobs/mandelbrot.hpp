/// @file
/// The parts of the workload mandelbrot: escape times of z -> z^2 + c over the pixels of a view,
/// and their colours.
#pragma once

#include "cleave/workload.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::mandelbrot {

/// A window of the complex plane in pixels; rows from the top. Pixels that lie on either side of
/// centre_y = 0 have exactly opposite imaginary parts.
struct View {
  double centre_x = 0;
  double centre_y = 0;
  double step_x = 0; ///< from a column to the next
  double step_y = 0; ///< from a row to the one above
  std::int64_t columns = 0;
  std::int64_t rows = 0;
  std::int64_t limit = 0; ///< iterations

  /// The real part of a column's centre.
  [[nodiscard]] double x(std::int64_t column) const noexcept {
    return centre_x + (static_cast<double>(column) - static_cast<double>(columns - 1) / 2) * step_x;
  }
  /// The imaginary part of a row's centre.
  [[nodiscard]] double y(std::int64_t row) const noexcept {
    return centre_y + (static_cast<double>(rows - 1) / 2 - static_cast<double>(row)) * step_y;
  }
};

/// An orbit has escaped when |z|^2 is beyond this, that is |z| > 16: the larger, the smoother.
inline constexpr double escape_squared = 256;

/// What becomes of one c. With z(0) = 0 and z(k+1) = z(k)^2 + c:
struct Escape {
  std::uint32_t count = 0; ///< of k >= 1 with |z(1)|, ..., |z(k)| <= 16; at most the limit: inside
  /// count + 1 - log2(log |z| / log 16) of the first z beyond, in (count, count + 1] as long as c
  /// is not large; 0 inside. Continuous over the plane.
  float smooth = 0;
};

/// Computes a row of the view. What computes the picture is escape_row; tests have others.
/// @param counts, smooth as many as columns
using Kernel = void (*)(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                        std::span<float> smooth);

/// The row by the best instruction set that cleave/simd.hpp leaves, the same bits by all of them.
/// Local, thread-safe. About 0.5 ns an iteration and core with AVX-512.
void escape_row(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                std::span<float> smooth);

/// One pixel by the definition, which checks compare the kernel with: `smooth` is near the
/// kernel's. Local, thread-safe. About 5 ns an iteration.
[[nodiscard]] Escape define_pixel(const View& view, std::int64_t row, std::int64_t column);

/// From iterations to colours, through a table of one turn of a palette. A plain value: reading it
/// is thread-safe.
class Painter {
public:
  using Colour = std::array<std::uint8_t, 3>; ///< red, green, blue

  /// The palettes there are.
  [[nodiscard]] static std::vector<std::string> names();

  /// @param palette one of names()
  /// @param cycle iterations of a turn, above 0
  Painter(std::string_view palette, double cycle);

  /// Paints pixels: turn sqrt(smooth / cycle) of the palette, which spreads few iterations, far
  /// from the set, and draws many together; black inside.
  /// @param to three bytes a pixel
  void paint(std::span<const std::uint32_t> counts, std::span<const float> smooth,
             std::int64_t limit, std::span<std::uint8_t> to) const;

private:
  float scale_;
  std::array<Colour, 4096> turn_{};
};

/// The workload `mandelbrot` by another kernel: tests break it so.
[[nodiscard]] Workload workload_of(Kernel kernel);

} // namespace cleave::mandelbrot
