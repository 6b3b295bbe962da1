/// TIFF files (TIFF 6.0, Adobe 1992, and BigTIFF) to images and back, through libtiff, whose
/// messages go to handlers of each open file: the global ones print.
#include "tiff.hpp"

#include "image_checks.hpp"
#include "new_file.hpp"

#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace cleave {
namespace {

using TiffProblem = std::array<char, 160>;

/// Keeps the first message: what follows it follows from it.
int on_tiff_error(TIFF*, void* problem, const char*, const char* format, va_list values) {
  auto& text = *static_cast<TiffProblem*>(problem);
  if (text[0] == '\0')
    std::vsnprintf(text.data(), text.size(), format, values);
  return 1; // handled
}

/// Warnings are of tags that nobody knows, but for those of JPEG: data so damaged that libjpeg has
/// made some up.
int on_tiff_warning(TIFF* tiff, void* problem, const char* module, const char* format,
                    va_list values) {
  const bool of_jpeg = module != nullptr && std::strcmp(module, "JPEGLib") == 0;
  return of_jpeg ? on_tiff_error(tiff, problem, module, format, values) : 1;
}

/// Owns libtiff's state of one file.
class Tiff {
public:
  /// @param mode as of TIFFOpen; get() is null when libtiff gave up
  Tiff(const std::filesystem::path& path, const char* mode) {
    TIFFOpenOptions* options = TIFFOpenOptionsAlloc();
    if (options == nullptr)
      throw std::bad_alloc();
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_tiff_error, &problem_);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_tiff_warning, &problem_);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, static_cast<tmsize_t>(memory_for_images()));
    tiff_ = TIFFOpenExt(path.c_str(), mode, options);
    TIFFOpenOptionsFree(options);
  }
  Tiff(const Tiff&) = delete;
  Tiff& operator=(const Tiff&) = delete;
  ~Tiff() {
    if (tiff_ != nullptr)
      TIFFClose(tiff_);
  }

  [[nodiscard]] TIFF* get() const noexcept { return tiff_; }
  /// The first thing that libtiff complained of.
  [[nodiscard]] std::string problem() const { return problem_.data(); }

private:
  TiffProblem problem_{};
  TIFF* tiff_ = nullptr;
};

/// A tag's value or its default; 0 where it has neither.
template <class Value>
Value tag_of(TIFF* tiff, std::uint32_t tag) {
  Value value{};
  TIFFGetFieldDefaulted(tiff, tag, &value);
  return value;
}

/// How the pixels of a file are stored.
struct TiffLayout {
  std::int64_t width = 0;
  std::int64_t height = 0;
  int samples = 1; ///< per pixel
  int bits = 8;    ///< per sample
  int colours = 1;
  int photometric = 0;
  int compression = 0;
  bool separate = false;      ///< a plane a sample, in place of interleaved samples
  bool premultiplied = false; ///< colours are stored times alpha

  [[nodiscard]] ImageHeader header() const { return {width, height, samples, bits}; }
};

std::string photometric_text(int photometric) {
  switch (photometric) {
  case PHOTOMETRIC_PALETTE:
    return "a palette";
  case PHOTOMETRIC_MASK:
    return "a mask";
  case PHOTOMETRIC_SEPARATED:
    return "inks (CMYK)";
  case PHOTOMETRIC_YCBCR:
    return "YCbCr";
  case PHOTOMETRIC_CIELAB:
  case PHOTOMETRIC_ICCLAB:
  case PHOTOMETRIC_ITULAB:
    return "CIE L*a*b*";
  default:
    return "photometric interpretation " + std::to_string(photometric);
  }
}

[[noreturn]] void refuse_kind(const std::filesystem::path& file, const std::string& kind) {
  refuse_image(file, "is a TIFF image with " + kind +
                         ", which is not read: save it as grey or RGB of 8 or 16 unsigned bits, "
                         "with one extra sample (alpha) at most");
}

[[noreturn]] void refuse_damaged(const std::filesystem::path& file, const Tiff& tiff,
                                 const char* otherwise) {
  const std::string problem = tiff.problem();
  refuse_image(file, "is a damaged TIFF image: " + (problem.empty() ? otherwise : problem));
}

void require_known_compression(const TiffLayout& layout, const std::filesystem::path& file) {
  if (TIFFIsCODECConfigured(static_cast<std::uint16_t>(layout.compression)) == 0)
    refuse_kind(file, "compression " + std::to_string(layout.compression));
}

void require_known_samples(TIFF* tiff, const TiffLayout& layout,
                           const std::filesystem::path& file) {
  if (layout.bits != 8 && layout.bits != 16)
    refuse_kind(file, std::to_string(layout.bits) + " bits a sample");
  switch (tag_of<std::uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT)) {
  case SAMPLEFORMAT_UINT:
  case SAMPLEFORMAT_VOID: // unsaid, hence the default
    break;
  case SAMPLEFORMAT_INT:
    refuse_kind(file, "signed samples");
  case SAMPLEFORMAT_IEEEFP:
    refuse_kind(file, "floating-point samples");
  default:
    refuse_kind(file, "complex samples");
  }
  if (layout.samples < layout.colours)
    refuse_kind(file, "fewer samples than colours");
  if (layout.samples > layout.colours + 1)
    refuse_kind(file, std::to_string(layout.samples - layout.colours) + " extra samples");
  const auto orientation = tag_of<std::uint16_t>(tiff, TIFFTAG_ORIENTATION);
  if (orientation != ORIENTATION_TOPLEFT)
    refuse_kind(file, "orientation " + std::to_string(orientation) +
                          " (its first pixel is not the one at the top left)");
}

/// JPEG inside TIFF is mostly YCbCr: libtiff turns it into RGB when asked.
bool becomes_rgb(TIFF* tiff, const TiffLayout& layout) {
  return layout.photometric == PHOTOMETRIC_YCBCR && layout.compression == COMPRESSION_JPEG &&
         layout.samples == 3 && !layout.separate &&
         TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB) == 1;
}

int colours_of(TIFF* tiff, const TiffLayout& layout, const std::filesystem::path& file) {
  if (layout.photometric == PHOTOMETRIC_MINISBLACK || layout.photometric == PHOTOMETRIC_MINISWHITE)
    return 1;
  if (layout.photometric == PHOTOMETRIC_RGB || becomes_rgb(tiff, layout))
    return 3;
  refuse_kind(file, photometric_text(layout.photometric));
}

bool premultiplied(TIFF* tiff) {
  std::uint16_t count = 0;
  const std::uint16_t* types = nullptr;
  TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &count, &types);
  return count > 0 && types[0] == EXTRASAMPLE_ASSOCALPHA;
}

/// What the first page says of itself; refuses what Image cannot hold.
TiffLayout layout_of(const Tiff& file, const std::filesystem::path& name) {
  TIFF* tiff = file.get();
  if (tiff == nullptr)
    refuse_damaged(name, file, "its directory is not readable");
  TiffLayout layout;
  layout.width = tag_of<std::uint32_t>(tiff, TIFFTAG_IMAGEWIDTH);
  layout.height = tag_of<std::uint32_t>(tiff, TIFFTAG_IMAGELENGTH);
  layout.samples = tag_of<std::uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL);
  layout.bits = tag_of<std::uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE);
  layout.compression = tag_of<std::uint16_t>(tiff, TIFFTAG_COMPRESSION);
  layout.separate = tag_of<std::uint16_t>(tiff, TIFFTAG_PLANARCONFIG) == PLANARCONFIG_SEPARATE;
  std::uint16_t photometric = 0;
  if (layout.width == 0 || layout.height == 0 || layout.samples == 0 ||
      TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) != 1)
    refuse_damaged(name, file, "its size or its photometric interpretation is missing");
  layout.photometric = photometric;
  require_known_compression(layout, name);
  layout.colours = colours_of(tiff, layout, name);
  require_known_samples(tiff, layout, name);
  layout.premultiplied = premultiplied(tiff) && layout.samples > layout.colours;
  return layout;
}

/// What a file is cut into: tiles, or strips, which are tiles as wide as the image.
struct TiffBlocks {
  std::int64_t width = 0;
  std::int64_t height = 0;
  int samples = 1; ///< of a pixel that are in one block
  bool tiled = false;
};

TiffBlocks blocks_of(const Tiff& file, const TiffLayout& layout) {
  TIFF* tiff = file.get();
  const int samples = layout.separate ? 1 : layout.samples;
  if (TIFFIsTiled(tiff) != 0)
    return {tag_of<std::uint32_t>(tiff, TIFFTAG_TILEWIDTH),
            tag_of<std::uint32_t>(tiff, TIFFTAG_TILELENGTH), samples, true};
  const std::int64_t rows = tag_of<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP);
  return {layout.width, std::min(rows, layout.height), samples, false};
}

/// Bytes that are packed into one at best.
double most_packed(const TiffLayout& layout) {
  switch (layout.compression) {
  case COMPRESSION_NONE:
    return 1;
  case COMPRESSION_PACKBITS:
  case COMPRESSION_LZW:
  case COMPRESSION_DEFLATE:
  case COMPRESSION_ADOBE_DEFLATE:
  case COMPRESSION_JPEG:
    return 4096;
  default: // Zstandard has 32768, WebP in theory more
    return 65'536;
  }
}

/// Reads the blocks of a file one after the other.
class TiffReader {
public:
  TiffReader(const Tiff& file, const TiffLayout& layout, const std::filesystem::path& name)
      : file_(file), layout_(layout), blocks_(blocks_of(file, layout)), name_(name) {
    // A tile may be larger than the image.
    const ImageHeader block = {blocks_.width, blocks_.height, blocks_.samples, layout.bits};
    refuse_image_beyond_memory(block, name);
    refuse_image_too_short(block,
                           static_cast<double>(bytes_of(1)) * static_cast<double>(blocks_.height) /
                               most_packed(layout),
                           name, "TIFF");
    block_bytes_ = bytes_of(blocks_.height);
    TIFF* tiff = file.get();
    // A block of no pixels would never end, one of another size would not fit.
    if (block_bytes_ == 0 ||
        block_bytes_ != (blocks_.tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff)))
      refuse_damaged(name, file, "its tiles or strips have no proper size");
    block_ = std::make_unique_for_overwrite<std::uint16_t[]>(
        static_cast<std::size_t>(block_bytes_ + 1) / 2);
  }

  /// @return all samples; their memory is taken once a block is read, since files that claim
  ///   millions of rows and are damaged end there
  std::vector<std::uint16_t> read() {
    std::vector<std::uint16_t> samples;
    for (int plane = 0; plane * blocks_.samples < layout_.samples; ++plane)
      for (std::int64_t top = 0; top < layout_.height; top += blocks_.height)
        for (std::int64_t left = 0; left < layout_.width; left += blocks_.width) {
          read_block(left, top, plane);
          samples.resize(
              static_cast<std::size_t>(layout_.width * layout_.height * layout_.samples));
          place_block(left, top, plane, samples);
        }
    return samples;
  }

private:
  [[nodiscard]] std::int64_t bytes_of(std::int64_t rows) const {
    return rows * blocks_.width * blocks_.samples * (layout_.bits / 8);
  }

  void read_block(std::int64_t left, std::int64_t top, int plane) {
    TIFF* tiff = file_.get();
    const auto x = static_cast<std::uint32_t>(left);
    const auto y = static_cast<std::uint32_t>(top);
    const auto sample = static_cast<std::uint16_t>(plane);
    const std::int64_t wanted =
        blocks_.tiled ? block_bytes_ : bytes_of(std::min(blocks_.height, layout_.height - top));
    const std::int64_t got =
        blocks_.tiled
            ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x, y, 0, sample), block_.get(),
                                  wanted)
            : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, sample), block_.get(), wanted);
    if (got != wanted || !file_.problem().empty())
      refuse_damaged(name_, file_, "it ends early");
  }

  void place_block(std::int64_t left, std::int64_t top, int plane,
                   std::vector<std::uint16_t>& samples) const {
    const std::int64_t rows = std::min(blocks_.height, layout_.height - top);
    const std::int64_t columns = std::min(blocks_.width, layout_.width - left);
    for (std::int64_t y = 0; y < rows; ++y) {
      const auto from = static_cast<std::size_t>(y * blocks_.width * blocks_.samples);
      std::uint16_t* to = &samples[static_cast<std::size_t>(
          ((top + y) * layout_.width + left) * layout_.samples + plane)];
      if (layout_.bits == 16)
        place_row(block_.get() + from, columns, to);
      else
        place_row(reinterpret_cast<const std::uint8_t*>(block_.get()) + from, columns, to);
    }
  }

  template <class Sample>
  void place_row(const Sample* from, std::int64_t columns, std::uint16_t* to) const {
    if (blocks_.samples == layout_.samples)
      std::copy_n(from, columns * layout_.samples, to);
    else
      for (std::int64_t x = 0; x < columns; ++x)
        to[x * layout_.samples] = from[x];
  }

  const Tiff& file_;
  const TiffLayout& layout_;
  TiffBlocks blocks_;
  const std::filesystem::path& name_;
  std::int64_t block_bytes_ = 0;
  std::unique_ptr<std::uint16_t[]> block_;
};

/// From light that counts from white.
void invert(Image& image) {
  const auto step = static_cast<std::size_t>(image.channels);
  for (std::size_t i = 0; i < image.samples.size(); i += step)
    image.samples[i] = static_cast<std::uint16_t>(image.full() - image.samples[i]);
}

/// Colours without the factor alpha, to the nearest; 0 where alpha is 0.
void divide_by_alpha(Image& image) {
  const auto step = static_cast<std::size_t>(image.channels);
  const auto full = static_cast<std::uint32_t>(image.full());
  for (std::size_t pixel = 0; pixel < image.samples.size(); pixel += step) {
    const std::uint32_t alpha = image.samples[pixel + step - 1];
    for (std::size_t i = pixel; i + 1 < pixel + step; ++i)
      image.samples[i] = static_cast<std::uint16_t>(
          alpha == 0 ? 0 : std::min(full, (image.samples[i] * full + alpha / 2) / alpha));
  }
}

bool set_tags(TIFF* tiff, const Image& image) {
  const auto set = [tiff](std::uint32_t tag, auto value) {
    return TIFFSetField(tiff, tag, value) == 1;
  };
  const std::uint16_t alpha = EXTRASAMPLE_UNASSALPHA;
  return set(TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(image.width)) &&
         set(TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(image.height)) &&
         set(TIFFTAG_SAMPLESPERPIXEL, image.channels) && set(TIFFTAG_BITSPERSAMPLE, image.bits) &&
         set(TIFFTAG_PHOTOMETRIC,
             image.colours() == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK) &&
         (!image.has_alpha() || TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha) == 1) &&
         set(TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) &&
         set(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
         set(TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
         set(TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL) &&
         set(TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(tiff, 0));
}

bool write_strip(TIFF* tiff, std::uint32_t strip, std::span<const std::uint16_t> samples,
                 int bits) {
  std::vector<std::uint8_t> bytes(samples.size_bytes()); // libtiff may change them
  if (bits == 16)
    std::memcpy(bytes.data(), samples.data(), bytes.size());
  else {
    bytes.resize(samples.size());
    std::transform(samples.begin(), samples.end(), bytes.begin(),
                   [](std::uint16_t sample) { return static_cast<std::uint8_t>(sample); });
  }
  const auto count = static_cast<tmsize_t>(bytes.size());
  return TIFFWriteEncodedStrip(tiff, strip, bytes.data(), count) == count;
}

bool write_strips(TIFF* tiff, const Image& image) {
  const auto row = static_cast<std::size_t>(image.width * image.channels);
  const std::size_t most = row * tag_of<std::uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP);
  std::span<const std::uint16_t> left(image.samples);
  for (std::uint32_t strip = 0; !left.empty(); ++strip) {
    const std::size_t count = std::min(most, left.size());
    if (!write_strip(tiff, strip, left.first(count), image.bits))
      return false;
    left = left.subspan(count);
  }
  return true;
}

void write_pixels(const std::filesystem::path& path, const std::filesystem::path& file,
                  const Image& image) {
  // Offsets of a classic TIFF have 32 bits; what cannot be packed grows a little.
  const bool big = image.samples.size() * (image.bits == 16 ? 2 : 1) > 4'000'000'000;
  errno = 0;
  const Tiff opened(path, big ? "w8" : "w");
  if (opened.get() == nullptr)
    fail_to_write_image(file, errno != 0 ? std::strerror(errno) : opened.problem());
  if (!set_tags(opened.get(), image) || !write_strips(opened.get(), image) ||
      TIFFFlush(opened.get()) != 1)
    fail_to_write_image(file, opened.problem());
}

} // namespace

bool tiff_is_built() {
  return true;
}

ImageHeader read_tiff_header(const std::filesystem::path& file) {
  const Tiff opened(file, "rm"); // no mapping: a file that shrinks under it kills the program
  return layout_of(opened, file).header();
}

Image read_tiff(const std::filesystem::path& file) {
  const Tiff opened(file, "rm");
  const TiffLayout layout = layout_of(opened, file);
  refuse_image_beyond_memory(layout.header(), file);
  refuse_image_too_short(layout.header(),
                         static_cast<double>(layout.width) * static_cast<double>(layout.height) *
                             static_cast<double>(layout.samples * layout.bits) / 8 /
                             most_packed(layout),
                         file, "TIFF");

  Image image{layout.width, layout.height, layout.samples, layout.bits,
              TiffReader(opened, layout, file).read()};
  if (layout.photometric == PHOTOMETRIC_MINISWHITE)
    invert(image);
  if (layout.premultiplied)
    divide_by_alpha(image);
  return image;
}

namespace {

/// libtiff opens what is there, whoever has made it: so it is made here.
void make_for_libtiff(const NewFile& temporary, const std::filesystem::path& file) {
  try {
    temporary.write({});
  } catch (const FileFailure& failure) {
    fail_to_write_image(file, failure.what());
  }
}

} // namespace

void write_tiff(const std::filesystem::path& file, const Image& image) {
  require_whole_image(image, file);
  NewFile temporary(file);
  make_for_libtiff(temporary, file);
  write_pixels(temporary.path(), file, image);
  publish_image(temporary, file);
}

} // namespace cleave
