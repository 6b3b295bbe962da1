// Images through PNG files. Files of the kinds that write_png never makes (palettes, low depths,
// tRNS, damage) are put together here byte by byte, which also shows that read_png understands what
// others write.
#include "cleave/data.hpp"
#include "cleave/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using cleave::Error;
using cleave::ErrorKind;
using cleave::Image;
using testing::ElementsAre;
using testing::HasSubstr;

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>(value >> shift & 0xFFU);
  return bytes;
}

// PNG specification (W3C), annex D.
std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return crc ^ 0xFFFFFFFFU;
}

// A zlib stream of one stored block (RFC 1950, RFC 1951).
std::string stored(const std::string& bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char byte : bytes) {
    a = (a + static_cast<unsigned char>(byte)) % 65'521;
    b = (b + a) % 65'521;
  }
  std::string stream = "\x78\x01\x01";
  for (const std::uint32_t part : {size, ~size}) {
    stream += static_cast<char>(part & 0xFFU);
    stream += static_cast<char>(part >> 8 & 0xFFU);
  }
  return stream + bytes + big_endian(b << 16 | a);
}

std::string chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<std::uint32_t>(data.size())) + type + data +
         big_endian(crc32(type + data));
}

const std::string signature = "\x89PNG\r\n\x1a\n";

std::string ihdr(std::uint32_t width, std::uint32_t height, int depth, int type,
                 int interlace = 0) {
  return chunk("IHDR", big_endian(width) + big_endian(height) + static_cast<char>(depth) +
                           static_cast<char>(type) + std::string(2, '\0') +
                           static_cast<char>(interlace));
}

// Rows begin with their filter, 0 for none.
std::string pixels(const std::string& rows) {
  return chunk("IDAT", stored(rows));
}
std::string end() {
  return chunk("IEND", "");
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values)
    text += static_cast<char>(value);
  return text;
}

class ImageTest : public testing::Test {
protected:
  ImageTest() {
    const char* base = std::getenv("TMPDIR");
    folder_ = std::filesystem::path(base != nullptr ? base : "/tmp") / "image_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~ImageTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path file(const std::string& content) const {
    const auto path = folder_ / "given.png";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  // The message that read_png refuses the file with.
  [[nodiscard]] static std::string refusal(const std::filesystem::path& path) {
    try {
      (void)cleave::read_png(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_EQ(error.place().file, path.string());
      return error.message();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
};

Image pattern(std::int64_t width, std::int64_t height, int channels, int bits) {
  Image image{width, height, channels, bits, {}};
  const auto count = static_cast<std::uint64_t>(width * height * channels);
  for (std::uint64_t i = 0; i < count; ++i)
    image.samples.push_back(static_cast<std::uint16_t>(
        (i * 40'503 + 255) % (static_cast<std::uint64_t>(image.full()) + 1)));
  image.samples.back() = static_cast<std::uint16_t>(image.full());
  return image;
}

TEST_F(ImageTest, every_format_comes_back_as_written) {
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 7}, {7, 1}, {33, 20}};
  for (const auto& [width, height] : sizes)
    for (const int channels : {1, 2, 3, 4})
      for (const int bits : {8, 16}) {
        SCOPED_TRACE(testing::Message()
                     << width << " x " << height << " x " << channels << ", " << bits << " bits");
        const Image image = pattern(width, height, channels, bits);
        cleave::write_png(folder_ / "out.png", image);
        const Image back = cleave::read_png(folder_ / "out.png");
        EXPECT_EQ(back.width, width);
        EXPECT_EQ(back.height, height);
        EXPECT_EQ(back.channels, channels);
        EXPECT_EQ(back.bits, bits);
        EXPECT_EQ(back.samples, image.samples);
        const cleave::ImageHeader header = cleave::read_png_header(folder_ / "out.png");
        EXPECT_EQ(header.width, width);
        EXPECT_EQ(header.height, height);
        EXPECT_EQ(header.channels, channels);
        EXPECT_EQ(header.bits, bits);
      }
}

TEST_F(ImageTest, the_photograph_reads) {
  const Image image = cleave::read_png(CLEAVE_SOURCE_DIR "/data/astronaut.png");
  EXPECT_EQ(image.width, 512);
  EXPECT_EQ(image.height, 512);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.bits, 8);
  EXPECT_THAT(std::vector(image.samples.begin(), image.samples.begin() + 3),
              ElementsAre(154, 147, 151));
}

TEST_F(ImageTest, palettes_become_colours) {
  const std::string palette = chunk("PLTE", bytes({1, 2, 3, 40, 50, 60, 255, 0, 128}));
  // 2-bit indices 0 1 2 1, then 2 2 0 0.
  const std::string data = pixels(bytes({0, 0b00'01'10'01, 0, 0b10'10'00'00}));
  const Image plain = cleave::read_png(file(signature + ihdr(4, 2, 2, 3) + palette + data + end()));
  EXPECT_EQ(plain.channels, 3);
  EXPECT_EQ(plain.bits, 8);
  EXPECT_THAT(plain.samples, ElementsAre(1, 2, 3, 40, 50, 60, 255, 0, 128, 40, 50, 60, //
                                         255, 0, 128, 255, 0, 128, 1, 2, 3, 1, 2, 3));
}

TEST_F(ImageTest, transparency_chunks_become_alpha) {
  const auto path = file(signature + ihdr(2, 1, 8, 3) + chunk("PLTE", bytes({1, 2, 3, 4, 5, 6})) +
                         chunk("tRNS", bytes({77})) + pixels(bytes({0, 0, 1})) + end());
  EXPECT_EQ(cleave::read_png_header(path).channels, 4);
  EXPECT_THAT(cleave::read_png(path).samples, ElementsAre(1, 2, 3, 77, 4, 5, 6, 255));

  const auto deep = file(signature + ihdr(2, 1, 16, 0) + chunk("tRNS", bytes({0x12, 0x34})) +
                         pixels(bytes({0, 0x12, 0x34, 0x12, 0x35})) + end());
  EXPECT_EQ(cleave::read_png_header(deep).channels, 2);
  EXPECT_THAT(cleave::read_png(deep).samples, ElementsAre(0x1234, 0, 0x1235, 65'535));
}

TEST_F(ImageTest, low_depths_of_grey_fill_the_range) {
  const Image one = cleave::read_png(
      file(signature + ihdr(3, 1, 1, 0) + pixels(bytes({0, 0b1010'0000})) + end()));
  EXPECT_EQ(one.bits, 8);
  EXPECT_THAT(one.samples, ElementsAre(255, 0, 255));
  const Image four =
      cleave::read_png(file(signature + ihdr(3, 1, 4, 0) + pixels(bytes({0, 0x0F, 0x70})) + end()));
  EXPECT_THAT(four.samples, ElementsAre(0, 255, 0x77));
}

TEST_F(ImageTest, interlaced_files_read_in_order) {
  // 2 x 2: pass 1 holds pixel (0,0), pass 6 pixel (1,0), pass 7 the second row.
  const Image image = cleave::read_png(
      file(signature + ihdr(2, 2, 8, 0, 1) + pixels(bytes({0, 10, 0, 20, 0, 30, 40})) + end()));
  EXPECT_THAT(image.samples, ElementsAre(10, 20, 30, 40));
}

TEST_F(ImageTest, what_is_no_image_is_refused_by_name) {
  EXPECT_THAT(refusal(folder_ / "absent.png"), HasSubstr("no such file"));
  EXPECT_THAT(refusal(folder_), HasSubstr("is a directory"));
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(file("")), HasSubstr("is empty"));
  EXPECT_THAT(refusal(file("Rows and columns")), HasSubstr("not a PNG"));
  EXPECT_THAT(refusal(file("\x89P")), HasSubstr("damaged"));
}

TEST_F(ImageTest, a_header_is_refused_by_name) {
  const auto path = file(signature + ihdr(3, 3, 8, 2).substr(0, 20));
  try {
    (void)cleave::read_png_header(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().file, path.string());
    EXPECT_THAT(error.message(), HasSubstr("ends early"));
  }
}

TEST_F(ImageTest, a_file_cut_anywhere_is_refused) {
  cleave::write_png(folder_ / "whole.png", pattern(9, 9, 3, 8));
  std::ifstream in(folder_ / "whole.png", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (std::size_t size = 1; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_THAT(refusal(file(whole.substr(0, size))), HasSubstr("damaged"));
  }
  EXPECT_EQ(refusal(file(whole)), "accepted");
}

TEST_F(ImageTest, a_changed_bit_anywhere_is_refused) {
  cleave::write_png(folder_ / "whole.png", pattern(5, 4, 1, 16));
  std::ifstream in(folder_ / "whole.png", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  for (std::size_t at = 0; at < whole.size(); ++at) {
    SCOPED_TRACE(at);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_NE(refusal(file(damaged)), "accepted");
  }
}

TEST_F(ImageTest, claims_are_checked_before_memory_is_taken) {
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const std::string rest = pixels(bytes({0, 0})) + end();
  EXPECT_THAT(refusal(file(signature + ihdr(0x7FFFFFFF, 0x7FFFFFFF, 16, 6) + rest)),
              HasSubstr("2147483647 x 2147483647 pixels"));
  EXPECT_THAT(refusal(file(signature + ihdr(20'000, 20'000, 8, 0) + rest)),
              HasSubstr("too short for 20000 x 20000"));
  EXPECT_THAT(refusal(file(signature + ihdr(0, 5, 8, 0) + rest)), HasSubstr("damaged"));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 50'000) << "kB taken for refused images";
}

TEST_F(ImageTest, writing_replaces_and_leaves_nothing_else) {
  const auto path = file("an older file");
  cleave::write_png(path, pattern(2, 2, 1, 8));
  EXPECT_EQ(cleave::read_png(path).width, 2);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(ImageTest, failing_to_write_is_told_and_leaves_nothing) {
  const auto failure = [](const std::filesystem::path& path, const Image& image) {
    try {
      cleave::write_png(path, image);
    } catch (const Error& error) {
      EXPECT_EQ(error.place().file, path.string());
      return error.kind();
    }
    return ErrorKind::interrupted;
  };
  EXPECT_EQ(failure(folder_ / "absent" / "out.png", pattern(2, 2, 1, 8)), ErrorKind::io);
  std::filesystem::create_directories(folder_ / "taken.png" / "inside");
  EXPECT_EQ(failure(folder_ / "taken.png", pattern(2, 2, 1, 8)), ErrorKind::io);

  Image image = pattern(3, 3, 1, 8);
  image.samples.pop_back();
  EXPECT_EQ(failure(folder_ / "out.png", image), ErrorKind::bad_input);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(ImageTest, the_content_says_the_format) {
  const auto path = folder_ / "out.PNG";
  cleave::write_image(path, pattern(3, 2, 3, 16));
  std::filesystem::rename(path, folder_ / "out.tif");
  EXPECT_EQ(cleave::read_image(folder_ / "out.tif").samples, pattern(3, 2, 3, 16).samples);
  EXPECT_EQ(cleave::read_image_header(folder_ / "out.tif").bits, 16);
}

TEST_F(ImageTest, what_is_of_no_format_is_refused_by_name) {
  const auto refusal = [](const std::filesystem::path& path) {
    try {
      (void)cleave::read_image(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_EQ(error.place().file, path.string());
      return error.message();
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal(folder_ / "absent.png"), HasSubstr("no such file"));
  EXPECT_THAT(refusal(folder_), HasSubstr("is a directory, not an image"));
  EXPECT_THAT(refusal(file("")), HasSubstr("is empty, not an image"));
  EXPECT_THAT(refusal(file("Rows and columns")), HasSubstr("neither a PNG nor a TIFF image"));
  EXPECT_THAT(refusal(file("\x89P")), HasSubstr("damaged PNG"));
  const bool has_tiff = cleave::is_image_name("a.tif");
  EXPECT_THAT(refusal(file(std::string("II*\0", 4) + std::string(20, 'x'))),
              HasSubstr(has_tiff ? "damaged TIFF" : "libtiff was not found"));
}

TEST_F(ImageTest, suffixes_say_the_format) {
  EXPECT_TRUE(cleave::is_image_name("a.b/c.png"));
  EXPECT_TRUE(cleave::is_image_name("c.PNG"));
  EXPECT_FALSE(cleave::is_image_name("c.jpeg"));
  EXPECT_FALSE(cleave::is_image_name("png"));
  const bool has_tiff = cleave::is_image_name("a.tif");
  EXPECT_EQ(cleave::is_image_name("a.Tiff"), has_tiff);
  EXPECT_THAT(cleave::image_formats(), HasSubstr(has_tiff ? "PNG or TIFF" : "no TIFF"));
  try {
    cleave::write_image(folder_ / "c.jpeg", pattern(1, 1, 1, 8));
    FAIL() << "written";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_THAT(error.message(), HasSubstr(cleave::image_formats()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ImageTest, a_full_disk_is_told_and_leaves_nothing) {
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit little{100, old.rlim_max};
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little);
  EXPECT_THROW(cleave::write_png(folder_ / "out.png", pattern(200, 200, 3, 16)), Error);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

} // namespace
