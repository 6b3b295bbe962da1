/// @file
/// A task of the workload mandelbrot: a band of rows, computed, painted and packed.
#pragma once

#include "cleave/data.hpp"
#include "cleave/worker.hpp"
#include "jobs/mandelbrot.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <tuple>
#include <vector>

namespace cleave::mandelbrot {

/// What is asked for: the same on every rank.
struct Settings {
  View view;
  std::string palette;
  double cycle = 0;
  std::filesystem::path output; ///< empty: no picture
  std::filesystem::path raw;    ///< empty: no counts
};

/// Checksums of a row of the answer: what all its bytes come to without their being kept.
struct RowSums {
  std::uint64_t counts;
  std::uint64_t colours;
};

/// A pixel that check() compares with the definition.
struct Sample {
  std::int64_t row;
  std::int64_t column;
};

/// What a task sends to the root.
struct Band {
  std::vector<RowSums> rows;
  std::vector<Escape> samples;
  std::int64_t inside = 0;     ///< pixels
  std::int64_t iterations = 0; ///< of all pixels
  std::vector<std::byte> png;  ///< by pack_png_rows, where wanted
  std::vector<std::byte> raw;  ///< by pack_grid_band, where wanted
};
/// The same in a form that travels.
using BandParts = std::tuple<std::vector<RowSums>, std::vector<Escape>, std::int64_t, std::int64_t,
                             std::vector<std::byte>, std::vector<std::byte>>;

/// Rows in a task, by the picture alone: what deflate needs to work well, a row at least.
[[nodiscard]] std::int64_t band_rows(const View& view);

/// What the picture's file must be told.
[[nodiscard]] ImageHeader header_of(const View& view);

/// Computes bands; the same on every rank.
class BandMaker {
public:
  BandMaker(const Settings& settings, Kernel kernel);

  [[nodiscard]] const std::vector<Sample>& samples() const noexcept { return samples_; }
  [[nodiscard]] BandParts make(std::int64_t task, Worker& worker) const;

private:
  /// Memory of one worker: the pixels of a band.
  struct Workspace {
    std::vector<std::uint32_t> counts;
    std::vector<float> smooth;
    std::vector<std::uint8_t> colours;
  };
  void add_row(std::int64_t row, std::span<const std::uint32_t> counts,
               std::span<const float> smooth, std::span<const std::uint8_t> colours,
               Band& band) const;

  View view_;
  Kernel kernel_;
  Painter painter_;
  std::vector<Sample> samples_;
  bool png_;
  bool raw_;
};

} // namespace cleave::mandelbrot
