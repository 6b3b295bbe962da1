/// @file
/// Readers and writers of images and arrays, for workloads and for users.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace cleave {

/// An image in memory: samples interleaved by pixel, rows from the top, no padding.
/// One sample type holds both depths: 8-bit samples use 0..255, 16-bit ones 0..65535.
struct Image {
  std::int64_t width = 0;             ///< pixels
  std::int64_t height = 0;            ///< pixels
  int channels = 1;                   ///< 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA
  int bits = 8;                       ///< 8 or 16 per sample
  std::vector<std::uint16_t> samples; ///< height * width * channels

  /// Channels that carry light: 1 or 3.
  [[nodiscard]] int colours() const noexcept { return channels < 3 ? 1 : 3; }
  [[nodiscard]] bool has_alpha() const noexcept { return channels % 2 == 0; }
  /// The largest sample value: 255 or 65535.
  [[nodiscard]] int full() const noexcept { return bits == 16 ? 65'535 : 255; }
};

/// What an image file's header says, read without decoding.
struct ImageHeader {
  std::int64_t width = 0;
  std::int64_t height = 0;
  int channels = 1;
  int bits = 8;
};

/// Reads the header of a PNG. Local, thread-safe.
/// @throws Error bad_input when missing, empty, not a PNG or truncated; place.file names it
[[nodiscard]] ImageHeader read_png_header(const std::filesystem::path& file);

/// Reads a PNG of 8 or 16 bits, grey or RGB, with or without alpha; palettes and 1-, 2- and 4-bit
/// grey are expanded to 8 bits. Local, thread-safe.
/// @throws Error bad_input as read_png_header
[[nodiscard]] Image read_png(const std::filesystem::path& file);

/// Writes a PNG under a temporary name in the same directory, then renames it: another file of the
/// name is replaced, and never half. Local.
/// @throws Error io when it cannot be written, bad_input when the samples do not fill the image
void write_png(const std::filesystem::path& file, const Image& image);

/// One named part of an answer.
struct Fact {
  using Value = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>,
                             std::vector<double>, std::vector<std::string>>;
  std::string name;
  Value value;
};

/// The answer in words and numbers, in order.
using Summary = std::vector<Fact>;

/// Writes an answer by the file's suffix: .h5 (a dataset a fact), .json (one object) or .csv (a
/// column a fact, shorter columns left empty at the end). Under a temporary name, then renamed.
/// Local.
/// @throws Error bad_input for another suffix, io when it cannot be written
void write_summary(const std::filesystem::path& file, const Summary& summary);

/// One dataset of a file of arrays.
struct Array {
  std::string name;
  std::vector<std::int64_t> shape; ///< lengths of its dimensions, the last one contiguous
  std::variant<std::vector<double>, std::vector<std::int32_t>> values;
};

/// Writes arrays as datasets of an HDF5 file, under a temporary name, then renamed. Local. Holds
/// all of it in memory once more.
/// @throws Error bad_input for values that do not fill their shape, io when it cannot be written
void write_arrays(const std::filesystem::path& file, const std::vector<Array>& arrays);

/// Refuses a name whose suffix write_summary does not know. Local. @throws Error bad_input
void accept_summary_file(const std::filesystem::path& file);

} // namespace cleave
