/// PNG files whose rows were deflated apart from each other. libpng packs rows one after the other
/// in one thread, so zlib, which it uses too, is called here directly.
#include "cleave/data.hpp"
#include "cleave/error.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>

namespace cleave {
namespace {

constexpr std::int64_t longest_side = std::numeric_limits<std::int32_t>::max(); // of a PNG
constexpr std::size_t most_at_once = 1'900'000'000; // packed they fit a chunk of 2^31 - 1 bytes
constexpr std::size_t sum_bytes = sizeof(std::uint32_t); // in front of packed rows: their Adler-32
constexpr int filter_sub = 1;

std::size_t row_bytes(const ImageHeader& image) {
  return static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
}

/// Rows as PNG compresses them: the filter's number, then each byte less the one a pixel before.
std::vector<Bytef> filtered(const ImageHeader& image, std::span<const std::uint8_t> samples) {
  const std::size_t length = row_bytes(image);
  const auto step = static_cast<std::size_t>(image.channels);
  std::vector<Bytef> bytes(samples.size() / length * (length + 1));
  Bytef* to = bytes.data();
  for (; !samples.empty(); samples = samples.subspan(length)) {
    *to++ = filter_sub;
    for (std::size_t i = 0; i < length; ++i)
      *to++ = static_cast<Bytef>(samples[i] - (i < step ? 0 : samples[i - step]));
  }
  return bytes;
}

/// Deflates to blocks that end at a byte and are not the last ones, after `reserved` bytes of room.
std::vector<std::byte> deflated(std::span<Bytef> bytes, std::size_t reserved) {
  constexpr int no_header = -15;
  constexpr int memory_level = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, no_header, memory_level,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  constexpr std::size_t flush_bytes = 16; // the empty block that ends at a byte
  std::vector<std::byte> packed(reserved + deflateBound(&stream, bytes.size()) + flush_bytes);
  stream.next_in = bytes.data();
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data()) + reserved;
  stream.avail_out = static_cast<uInt>(packed.size() - reserved);
  deflate(&stream, Z_SYNC_FLUSH);
  packed.resize(reserved + stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::array<std::byte, 4> big_endian(std::uint32_t value) {
  return {static_cast<std::byte>(value >> 24U), static_cast<std::byte>(value >> 16U),
          static_cast<std::byte>(value >> 8U), static_cast<std::byte>(value)};
}

uLong crc(uLong before, std::span<const std::byte> bytes) {
  if (bytes.empty()) // zlib begins anew at a null pointer
    return before;
  return crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

} // namespace

std::vector<std::byte> pack_png_rows(const ImageHeader& image,
                                     std::span<const std::uint8_t> samples) {
  if (image.width < 1 || image.channels < 1 || samples.size() % row_bytes(image) != 0)
    throw Error(ErrorKind::bad_input, "the samples are no whole rows of the image");
  if (samples.size() > most_at_once)
    throw Error(ErrorKind::bad_input, "more than 1.9e9 samples at once; pack fewer rows");
  std::vector<Bytef> bytes = filtered(image, samples);
  const auto sum = static_cast<std::uint32_t>(adler32_z(1, bytes.data(), bytes.size()));
  std::vector<std::byte> packed = deflated(bytes, sum_bytes);
  std::memcpy(packed.data(), &sum, sum_bytes);
  return packed;
}

PngFile::PngFile(const std::filesystem::path& file, const ImageHeader& image)
    : file_(file), image_(image) {
  if (image.width < 1 || image.width > longest_side || image.height < 1 ||
      image.height > longest_side || image.channels < 1 || image.channels > 4 || image.bits != 8)
    throw Error(ErrorKind::bad_input,
                "cannot be a PNG of 8 bits: 1 to 4 channels, sides of 1 to 2147483647 pixels",
                {file.string(), 0, {}});
  constexpr std::string_view signature = "\x89PNG\r\n\x1a\n";
  file_.append(std::as_bytes(std::span(signature)));
  constexpr std::array<std::uint8_t, 4> colour_types{0, 4, 2, 6}; // by channels
  std::array<std::byte, 13> header{}; // the last three: deflate, filters, no interlace
  std::ranges::copy(big_endian(static_cast<std::uint32_t>(image.width)), header.begin());
  std::ranges::copy(big_endian(static_cast<std::uint32_t>(image.height)), header.begin() + 4);
  header[8] = std::byte{8};
  header[9] = std::byte{colour_types.at(static_cast<std::size_t>(image.channels) - 1)};
  append_chunk("IHDR", header);
  constexpr std::array zlib_header{std::byte{0x78}, std::byte{0x9C}}; // RFC 1950
  append_chunk("IDAT", zlib_header);
}

void PngFile::append_chunk(const char* type, std::span<const std::byte> data) {
  const auto name = std::as_bytes(std::span(type, 4));
  file_.append(big_endian(static_cast<std::uint32_t>(data.size())));
  file_.append(name);
  file_.append(data);
  file_.append(big_endian(static_cast<std::uint32_t>(crc(crc(0, name), data))));
}

void PngFile::append(std::int64_t rows, std::span<const std::byte> packed) {
  std::uint32_t sum = 0;
  if (packed.size() < sum_bytes)
    throw Error(ErrorKind::bad_input, "rows of an image that were not packed", {"", 0, ""});
  std::memcpy(&sum, packed.data(), sum_bytes);
  const auto bytes = rows * static_cast<std::int64_t>(row_bytes(image_) + 1);
  adler_ = static_cast<std::uint32_t>(adler32_combine(adler_, sum, bytes));
  rows_ += rows;
  append_chunk("IDAT", packed.subspan(sum_bytes));
}

void PngFile::publish() {
  if (rows_ != image_.height)
    throw Error(ErrorKind::bad_input, "the image has " + std::to_string(image_.height) +
                                          " rows, but " + std::to_string(rows_) + " were given");
  const auto sum = big_endian(adler_);
  const std::array end{std::byte{3}, std::byte{0}, sum[0], sum[1], sum[2], sum[3]};
  append_chunk("IDAT", end); // an empty last block, RFC 1951
  append_chunk("IEND", {});
  file_.publish();
}

} // namespace cleave
