/// PNG files to images and back, through libpng.
///
/// libpng reports errors by longjmp, which must not pass over an object with a destructor. Hence
/// the pattern below: owners live in the outer function, and what libpng runs is a lambda without
/// such objects, called by `unharmed` alone.
#include "cleave/data.hpp"
#include "image_checks.hpp"
#include "new_file.hpp"

#include <png.h>

#include <bit>
#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

namespace cleave {
namespace {

/// What the callbacks of libpng need: the file, and room for the last error.
struct Stream {
  std::FILE* file = nullptr;
  char problem[160] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto* stream = static_cast<Stream*>(png_get_error_ptr(png));
  std::snprintf(stream->problem, sizeof stream->problem, "%s", text);
  png_longjmp(png, 1);
}

// libpng would take the memory that such a chunk claims.
void on_warning(png_structp png, png_const_charp text) {
  if (std::string_view(text).find("chunk data is too large") != std::string_view::npos)
    on_error(png, text);
}

void on_read(png_structp png, png_bytep bytes, std::size_t count) {
  auto* stream = static_cast<Stream*>(png_get_io_ptr(png));
  if (std::fread(bytes, 1, count, stream->file) != count)
    png_error(png, std::feof(stream->file) != 0 ? "the file ends early" : std::strerror(errno));
}

void on_write(png_structp png, png_bytep bytes, std::size_t count) {
  auto* stream = static_cast<Stream*>(png_get_io_ptr(png));
  if (std::fwrite(bytes, 1, count, stream->file) != count)
    png_error(png, std::strerror(errno));
}

void on_flush(png_structp) {}

/// Runs `step`, which may call libpng but must hold no object with a destructor; false when libpng
/// gave up, its reason then in the Stream.
template <class Step>
[[gnu::noinline]] bool unharmed(png_structp png, Step step) {
  if (setjmp(png_jmpbuf(png)) != 0)
    return false;
  step();
  return true;
}

/// Owns libpng's state for reading one file.
class Reader {
public:
  explicit Reader(std::FILE* file) : stream_{file} {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &stream_, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, &stream_, on_read);
    constexpr png_alloc_size_t largest_chunk = 8'000'000; // of texts and profiles: a length may lie
    png_set_chunk_malloc_max(png_, largest_chunk);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  [[nodiscard]] png_structp png() const noexcept { return png_; }
  [[nodiscard]] png_infop info() const noexcept { return info_; }
  [[nodiscard]] const char* problem() const noexcept { return stream_.problem; }

private:
  Stream stream_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

/// Owns libpng's state for writing one file.
class Writer {
public:
  explicit Writer(std::FILE* file) : stream_{file} {
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &stream_, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_write_struct(&png_, nullptr);
      throw std::bad_alloc();
    }
    png_set_write_fn(png_, &stream_, on_write, on_flush);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { png_destroy_write_struct(&png_, &info_); }

  [[nodiscard]] png_structp png() const noexcept { return png_; }
  [[nodiscard]] png_infop info() const noexcept { return info_; }
  [[nodiscard]] const char* problem() const noexcept { return stream_.problem; }

private:
  Stream stream_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

/// Opens a file that starts as a PNG does, and leaves it at its beginning.
ImageFile open_png(const std::filesystem::path& file) {
  OpenedImage opened = open_image(file, "a PNG image");
  const auto* start = reinterpret_cast<png_const_bytep>(opened.start.data());
  if (png_sig_cmp(start, 0, opened.start.size()) != 0)
    refuse_image(file, "is not a PNG image");
  return std::move(opened.file);
}

/// What the header says once palettes, low depths and tRNS chunks are expanded.
ImageHeader header_of(const Reader& reader) {
  const int type = png_get_color_type(reader.png(), reader.info());
  const bool transparent = (type & PNG_COLOR_MASK_ALPHA) != 0 ||
                           png_get_valid(reader.png(), reader.info(), PNG_INFO_tRNS) != 0;
  return {static_cast<std::int64_t>(png_get_image_width(reader.png(), reader.info())),
          static_cast<std::int64_t>(png_get_image_height(reader.png(), reader.info())),
          ((type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) + (transparent ? 1 : 0),
          png_get_bit_depth(reader.png(), reader.info()) == 16 ? 16 : 8};
}

/// Reads all that stands before the pixels.
ImageHeader read_header(const Reader& reader, const std::filesystem::path& file) {
  if (!unharmed(reader.png(), [&] {
        png_set_user_limits(reader.png(), PNG_UINT_31_MAX, PNG_UINT_31_MAX);
        png_set_crc_action(reader.png(), PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
        png_read_info(reader.png(), reader.info());
      }))
    refuse_image(file, std::string("is a damaged PNG image: ") + reader.problem());
  return header_of(reader);
}

void refuse_too_short(const Reader& reader, const ImageHeader& header,
                      const std::filesystem::path& file) {
  const double row_bytes = static_cast<double>(png_get_rowbytes(reader.png(), reader.info()));
  constexpr double deflate = 1032; // bytes that it packs into one at best
  refuse_image_too_short(header, row_bytes * static_cast<double>(header.height) / deflate, file,
                         "PNG");
}

/// Asks libpng for whole samples of 8 or 16 bits in this machine's byte order, without palettes
/// and with transparency as alpha. For use in `unharmed`.
void expand(png_structp png, png_infop info) {
  png_set_expand(png);
  if constexpr (std::endian::native == std::endian::little)
    png_set_swap(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

/// Bytes of the lower half of a row to samples over the whole row, from the last one down so that
/// none is overwritten before it is read.
void widen(std::uint16_t* row, std::size_t count) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(row);
  for (std::size_t i = count; i-- > 0;)
    row[i] = bytes[i];
}

/// Samples to the bytes of a PNG row: the high byte of 16 bits first.
void pack(const std::uint16_t* samples, std::size_t count, int bits, png_byte* row) {
  for (std::size_t i = 0; i < count; ++i)
    if (bits == 16)
      png_save_uint_16(row + 2 * i, samples[i]);
    else
      row[i] = static_cast<png_byte>(samples[i]);
}

int colour_type(int channels) {
  constexpr int types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                           PNG_COLOR_TYPE_RGB_ALPHA};
  return types[channels - 1];
}

void write_samples(std::FILE* opened, const Image& image, const std::filesystem::path& file) {
  const Writer writer(opened);
  const auto row_samples = static_cast<std::size_t>(image.width * image.channels);
  std::vector<png_byte> row(row_samples * (image.bits == 16 ? 2 : 1));
  if (!unharmed(writer.png(), [&] {
        png_set_IHDR(writer.png(), writer.info(), static_cast<png_uint_32>(image.width),
                     static_cast<png_uint_32>(image.height), image.bits,
                     colour_type(image.channels), PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                     PNG_FILTER_TYPE_DEFAULT);
        png_write_info(writer.png(), writer.info());
        for (std::int64_t y = 0; y < image.height; ++y) {
          pack(&image.samples[static_cast<std::size_t>(y) * row_samples], row_samples, image.bits,
               row.data());
          png_write_row(writer.png(), row.data());
        }
        png_write_end(writer.png(), nullptr);
      }))
    fail_to_write_image(file, writer.problem());
}

} // namespace

ImageHeader read_png_header(const std::filesystem::path& file) {
  const ImageFile opened = open_png(file);
  const Reader reader(opened.get());
  return read_header(reader, file);
}

Image read_png(const std::filesystem::path& file) {
  const ImageFile opened = open_png(file);
  const Reader reader(opened.get());
  const ImageHeader header = read_header(reader, file);
  refuse_image_beyond_memory(header, file);
  refuse_too_short(reader, header, file);

  Image image{header.width, header.height, header.channels, header.bits, {}};
  const auto row_samples = static_cast<std::size_t>(header.width * header.channels);
  std::vector<png_bytep> rows(static_cast<std::size_t>(header.height));
  image.samples.resize(row_samples * rows.size());
  for (std::size_t y = 0; y < rows.size(); ++y)
    rows[y] = reinterpret_cast<png_bytep>(&image.samples[y * row_samples]);
  if (!unharmed(reader.png(), [&] {
        expand(reader.png(), reader.info());
        png_read_image(reader.png(), rows.data());
        png_read_end(reader.png(), nullptr);
      }))
    refuse_image(file, std::string("is a damaged PNG image: ") + reader.problem());
  if (header.bits == 8)
    for (std::size_t y = 0; y < rows.size(); ++y)
      widen(&image.samples[y * row_samples], row_samples);
  return image;
}

void write_png(const std::filesystem::path& file, const Image& image) {
  require_whole_image(image, file);
  NewFile temporary(file);
  ImageFile opened(std::fopen(temporary.path().c_str(), "wbx"));
  if (!opened)
    fail_to_write_image(file, std::strerror(errno));
  write_samples(opened.get(), image, file);
  if (std::fclose(opened.release()) != 0)
    fail_to_write_image(file, std::strerror(errno));
  publish_image(temporary, file);
}

} // namespace cleave
