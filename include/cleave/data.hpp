/// @file
/// Readers and writers of images and arrays, for workloads and for users.
///
/// Three kinds of file grow from their beginning, so that only a part of them need be in memory:
/// StreamedFile, PngFile and GridFile. Rows are packed (compressed) apart from each other by
/// functions that need no file, which is what workers do; the root appends the packed bytes in
/// order. Each is written under a temporary name in its directory and has its own name, in place of
/// another file of it, only after publish(): unpublished ones are removed again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
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

/// The formats that this build reads and writes, for messages: "PNG or TIFF".
[[nodiscard]] std::string image_formats();

/// Whether write_image knows the suffix: .png, and where Cleave was built with libtiff .tif and
/// .tiff, in any case. Local.
[[nodiscard]] bool is_image_name(const std::filesystem::path& file);

/// Reads the header of a PNG or TIFF, told apart by their first bytes. Local, thread-safe.
/// @throws Error bad_input as read_image, but for the memory
[[nodiscard]] ImageHeader read_image_header(const std::filesystem::path& file);

/// Reads a PNG as read_png does, or the first page of a TIFF (6.0, BigTIFF) of 8 or 16 unsigned
/// bits, grey or RGB, with one more sample at most, which is taken for alpha. Strips and tiles,
/// interleaved samples and planes, and every compression that libtiff knows are read; JPEG becomes
/// RGB, light that counts from white is inverted, and colours that were multiplied by alpha are
/// divided by it, to the nearest. Local, thread-safe; about the image's own size in memory.
/// @throws Error bad_input, with the file as place.file: missing, empty, of neither format,
///   damaged, larger than half of the memory, a TIFF of another kind (palette, CMYK, floats, ...)
///   or any TIFF where Cleave was built without libtiff
[[nodiscard]] Image read_image(const std::filesystem::path& file);

/// Writes a PNG or TIFF, as the suffix says (is_image_name), in the way of write_png. A TIFF has
/// strips packed by deflate and, beyond 4 GB of samples, the form of a BigTIFF. Local.
/// @throws Error bad_input for another suffix, else as write_png
void write_image(const std::filesystem::path& file, const Image& image);

/// A file of any bytes that grows from its beginning. Local, not thread-safe.
class StreamedFile {
public:
  /// @throws Error io when its directory cannot be written
  explicit StreamedFile(const std::filesystem::path& file);
  StreamedFile(StreamedFile&&) noexcept;
  StreamedFile& operator=(StreamedFile&&) noexcept;
  ~StreamedFile();

  /// @throws Error io, such as on a full disk; the file cannot be used any more then
  void append(std::span<const std::byte> bytes);
  /// Brings the file to the disk and gives it its name; the last call. @throws Error io
  void publish();

private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Whole rows of an image of 8 bits as a PngFile takes them: filtered (each byte less the one a
/// pixel before it) and deflated, with nothing that depends on other rows. Fewer than about 32 KiB
/// at once compress worse. Local, thread-safe; about 15 ns a sample.
/// @param image its width and channels; its height is not looked at
/// @throws Error bad_input when the samples are no whole rows, or more than 1.9e9
[[nodiscard]] std::vector<std::byte> pack_png_rows(const ImageHeader& image,
                                                   std::span<const std::uint8_t> samples);

/// A PNG of 8 bits that grows from its top (PNG specification, 3rd edition, W3C 2025). Local, not
/// thread-safe.
class PngFile {
public:
  /// @throws Error bad_input for sizes that PNG does not have, io as StreamedFile
  PngFile(const std::filesystem::path& file, const ImageHeader& image);

  /// @param packed the next `rows` rows, by pack_png_rows with the same header
  /// @throws Error io
  void append(std::int64_t rows, std::span<const std::byte> packed);
  /// Ends the file; the last call. @throws Error io, bad_input when rows are missing
  void publish();

private:
  void append_chunk(const char* type, std::span<const std::byte> data);

  StreamedFile file_;
  ImageHeader image_;
  std::int64_t rows_ = 0;
  std::uint32_t adler_ = 1; ///< of the filtered rows so far
};

/// The shape of a GridFile: a row a value of y, a column a value of x.
struct Grid {
  std::string name;           ///< of the dataset
  std::vector<double> x;      ///< of the columns
  std::vector<double> y;      ///< of the rows, from the first
  std::int64_t band_rows = 1; ///< rows that are packed at once: a chunk of the dataset
};

/// A band of counts as a GridFile takes it: shuffled and deflated, as HDF5's own filters do. Local,
/// thread-safe; about 10 ns a count.
/// @param counts the band's rows; the last band may have fewer than the others
/// @param band_counts of a whole band: band_rows times the columns
/// @throws Error bad_input for more counts than a band has
[[nodiscard]] std::vector<std::byte> pack_grid_band(std::span<const std::uint32_t> counts,
                                                    std::int64_t band_counts);

/// An HDF5 file with one dataset [y, x] of 32-bit counts, in chunks of whole rows that are
/// deflated, and the coordinates as its dimension scales: xarray opens it. Grows from the first
/// row. Local, not thread-safe: HDF5 is not.
class GridFile {
public:
  /// @throws Error io
  GridFile(const std::filesystem::path& file, const Grid& grid);
  GridFile(GridFile&&) noexcept;
  GridFile& operator=(GridFile&&) noexcept;
  ~GridFile();

  /// @param packed the next band, by pack_grid_band
  /// @throws Error io, such as on a full disk; the file cannot be used any more then
  void append(std::span<const std::byte> packed);
  /// Brings the file to the disk and gives it its name; the last call.
  /// @throws Error io, bad_input when bands are missing
  void publish();

private:
  struct State;
  std::unique_ptr<State> state_;
};

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
