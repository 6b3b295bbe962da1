// Images through TIFF files. Layouts that write_image never makes (tiles, planes, the other byte
// order, other kinds) are written here by libtiff directly.
#include "cleave/data.hpp"
#include "cleave/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <tiffio.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

using cleave::Error;
using cleave::ErrorKind;
using cleave::Image;
using testing::ElementsAre;
using testing::HasSubstr;

class TiffTest : public testing::Test {
protected:
  TiffTest() {
    const char* base = std::getenv("TMPDIR");
    folder_ = std::filesystem::path(base != nullptr ? base : "/tmp") /
              ("tiff_test." + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    testing::internal::CaptureStderr();
  }
  ~TiffTest() override {
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    std::filesystem::remove_all(folder_);
  }

  [[nodiscard]] std::filesystem::path file(const std::string& content) const {
    const auto path = folder_ / "given.tif";
    std::filesystem::remove(path); // ext4 brings to the disk what is written over an older file
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::filesystem::path folder_;
};

// The message that read_image refuses the file with.
std::string refusal(const std::filesystem::path& path) {
  try {
    (void)cleave::read_image(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().file, path.string());
    return error.message();
  }
  return "accepted";
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Image pattern(std::int64_t width, std::int64_t height, int channels, int bits) {
  Image image{width, height, channels, bits, {}};
  const auto count = static_cast<std::uint64_t>(width * height * channels);
  for (std::uint64_t i = 0; i < count; ++i)
    image.samples.push_back(static_cast<std::uint16_t>(
        (i * 40'503 + 255) % (static_cast<std::uint64_t>(image.full()) + 1)));
  image.samples.back() = static_cast<std::uint16_t>(image.full());
  return image;
}

void expect_same(const Image& image, const Image& expected) {
  EXPECT_EQ(image.width, expected.width);
  EXPECT_EQ(image.height, expected.height);
  EXPECT_EQ(image.channels, expected.channels);
  EXPECT_EQ(image.bits, expected.bits);
  EXPECT_EQ(image.samples, expected.samples);
}

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, CloseTiff>;

// How the tests have libtiff write an image.
struct Form {
  std::string name;
  std::string mode = "w"; // of TIFFOpen
  int compression = COMPRESSION_NONE;
  int predictor = PREDICTOR_NONE;
  std::uint32_t rows = 3; // per strip
  std::uint32_t tile = 0; // width and height; 0 for strips
  bool separate = false;
};

void set_tags(TIFF* tiff, const Image& image, const Form& form) {
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(image.width));
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(image.height));
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, image.channels);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, image.bits);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
               image.colours() == 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
  const std::uint16_t alpha = EXTRASAMPLE_UNASSALPHA;
  if (image.has_alpha())
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG,
               form.separate ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, form.compression);
  if (form.predictor != PREDICTOR_NONE)
    TIFFSetField(tiff, TIFFTAG_PREDICTOR, form.predictor);
  if (form.tile == 0)
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, form.rows);
  else {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, form.tile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, form.tile);
  }
}

// The samples of a block of one plane, or of all of them together, row after row; what lies beyond
// the image is 7.
std::vector<unsigned char> block_of(const Image& image, std::int64_t left, std::int64_t top,
                                    std::int64_t width, std::int64_t height, int plane,
                                    int samples) {
  std::vector<unsigned char> bytes;
  for (std::int64_t y = top; y < top + height; ++y)
    for (std::int64_t x = left; x < left + width; ++x)
      for (int s = plane; s < plane + samples; ++s) {
        const bool inside = x < image.width && y < image.height;
        const std::uint16_t sample =
            inside
                ? image
                      .samples[static_cast<std::size_t>((y * image.width + x) * image.channels + s)]
                : 7;
        const auto* both = reinterpret_cast<const unsigned char*>(&sample);
        if (image.bits == 16)
          bytes.insert(bytes.end(), both, both + 2);
        else
          bytes.push_back(static_cast<unsigned char>(sample));
      }
  return bytes;
}

// What libtiff says of the test's own doing, such as codecs that are out of use.
class Unwarned {
public:
  Unwarned() : old_(TIFFSetWarningHandler(nullptr)) {}
  Unwarned(const Unwarned&) = delete;
  Unwarned& operator=(const Unwarned&) = delete;
  ~Unwarned() { TIFFSetWarningHandler(old_); }

private:
  TIFFErrorHandler old_;
};

using ChangeTags = std::function<void(TIFF*)>;

void write(const std::filesystem::path& path, const Image& image, const Form& form,
           const ChangeTags& change = {}) {
  const Unwarned unwarned;
  const Tiff tiff(TIFFOpen(path.c_str(), form.mode.c_str()));
  ASSERT_NE(tiff, nullptr);
  set_tags(tiff.get(), image, form);
  if (change)
    change(tiff.get());
  const int samples = form.separate ? 1 : image.channels;
  const std::int64_t width = form.tile != 0 ? form.tile : image.width;
  const std::int64_t most = form.tile != 0 ? form.tile : form.rows;
  std::uint32_t block = 0;
  for (int plane = 0; plane < image.channels; plane += samples)
    for (std::int64_t top = 0; top < image.height; top += most)
      for (std::int64_t left = 0; left < image.width; left += width) {
        const std::int64_t height = form.tile != 0 ? most : std::min(most, image.height - top);
        auto bytes = block_of(image, left, top, width, height, plane, samples);
        const auto count = static_cast<tmsize_t>(bytes.size());
        const auto written = form.tile != 0
                                 ? TIFFWriteEncodedTile(tiff.get(), block, bytes.data(), count)
                                 : TIFFWriteEncodedStrip(tiff.get(), block, bytes.data(), count);
        EXPECT_EQ(written, count);
        ++block;
      }
}

TEST_F(TiffTest, every_format_comes_back_as_written) {
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 7}, {7, 1}, {33, 20}, {301, 200}};
  for (const auto& [width, height] : sizes)
    for (const int channels : {1, 2, 3, 4})
      for (const int bits : {8, 16}) {
        SCOPED_TRACE(testing::Message()
                     << width << " x " << height << " x " << channels << ", " << bits << " bits");
        const Image image = pattern(width, height, channels, bits);
        cleave::write_image(folder_ / "out.TIF", image);
        expect_same(cleave::read_image(folder_ / "out.TIF"), image);
        const cleave::ImageHeader header = cleave::read_image_header(folder_ / "out.TIF");
        EXPECT_EQ(header.width, width);
        EXPECT_EQ(header.height, height);
        EXPECT_EQ(header.channels, channels);
        EXPECT_EQ(header.bits, bits);
      }
}

TEST_F(TiffTest, libtiff_reads_what_is_written) {
  const Image image = pattern(100, 90, 4, 16);
  cleave::write_image(folder_ / "out.tiff", image);
  const Tiff tiff(TIFFOpen((folder_ / "out.tiff").c_str(), "r"));
  ASSERT_NE(tiff, nullptr);
  std::uint16_t count = 0;
  const std::uint16_t* types = nullptr;
  EXPECT_EQ(TIFFGetField(tiff.get(), TIFFTAG_EXTRASAMPLES, &count, &types), 1);
  ASSERT_EQ(count, 1);
  EXPECT_EQ(types[0], EXTRASAMPLE_UNASSALPHA);
  std::uint16_t compression = 0;
  std::uint16_t predictor = 0;
  TIFFGetField(tiff.get(), TIFFTAG_COMPRESSION, &compression);
  TIFFGetField(tiff.get(), TIFFTAG_PREDICTOR, &predictor);
  EXPECT_EQ(compression, COMPRESSION_ADOBE_DEFLATE);
  EXPECT_EQ(predictor, PREDICTOR_HORIZONTAL);
  EXPECT_GT(TIFFNumberOfStrips(tiff.get()), 1U);
  std::vector<std::uint16_t> row(400);
  for (std::uint32_t y = 0; y < 90; ++y) {
    ASSERT_EQ(TIFFReadScanline(tiff.get(), row.data(), y, 0), 1);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), image.samples.begin() + 400 * y)) << y;
  }
}

// A Python that has PIL, or nothing.
std::string python_with_pil() {
  for (const std::string python : {"python3", "/usr/bin/python3"})
    if (std::system((python + " -c 'import PIL.Image' 2>/dev/null").c_str()) == 0)
      return python;
  return {};
}

TEST_F(TiffTest, pil_reads_what_is_written_and_writes_what_is_read) {
  const std::string python = python_with_pil();
  if (python.empty())
    GTEST_SKIP() << "no Python with PIL";
  for (const int channels : {1, 2, 3, 4}) { // PIL has no colours of 16 bits
    SCOPED_TRACE(channels);
    const Image image = pattern(70, 50, channels, 8);
    cleave::write_image(folder_ / "out.tif", image);
    const std::string script =
        "import PIL.Image as p\n"
        "i = p.open('out.tif'); i.load()\n"
        "open('bytes', 'wb').write(i.tobytes())\n"
        "i.save('plain.tif'); i.save('packed.tif', compression='tiff_lzw')\n";
    ASSERT_EQ(std::system(
                  ("cd " + folder_.string() + " && " + python + " -c \"" + script + "\"").c_str()),
              0);
    EXPECT_EQ(content_of(folder_ / "bytes"),
              std::string(image.samples.begin(), image.samples.end()));
    expect_same(cleave::read_image(folder_ / "plain.tif"), image);
    expect_same(cleave::read_image(folder_ / "packed.tif"), image);
  }
}

TEST_F(TiffTest, every_layout_reads_alike) {
  const std::vector<Form> forms = {
      {"plain"},
      {.name = "one strip", .rows = 1'000},
      {.name = "big endian", .mode = "wb"},
      {.name = "little endian", .mode = "wl"},
      {.name = "BigTIFF", .mode = "w8"},
      {.name = "big-endian BigTIFF", .mode = "w8b"},
      {.name = "tiles", .tile = 16},
      {.name = "a tile larger than the image", .tile = 64},
      {.name = "planes", .separate = true},
      {.name = "planes of tiles, big endian", .mode = "wb", .tile = 16, .separate = true},
      {.name = "PackBits", .compression = COMPRESSION_PACKBITS},
      {.name = "LZW", .compression = COMPRESSION_LZW, .predictor = PREDICTOR_HORIZONTAL},
      {.name = "old deflate", .compression = COMPRESSION_DEFLATE},
      {.name = "deflated tiles of planes, big endian",
       .mode = "wb",
       .compression = COMPRESSION_ADOBE_DEFLATE,
       .predictor = PREDICTOR_HORIZONTAL,
       .tile = 32,
       .separate = true},
  };
  for (const Form& form : forms)
    for (const int channels : {1, 2, 3, 4})
      for (const int bits : {8, 16}) {
        SCOPED_TRACE(testing::Message()
                     << form.name << ", " << channels << " channels, " << bits << " bits");
        const Image image = pattern(45, 38, channels, bits);
        write(folder_ / "given.tif", image, form);
        expect_same(cleave::read_image(folder_ / "given.tif"), image);
      }
}

TEST_F(TiffTest, every_lossless_compression_of_this_libtiff_reads) {
  const Image image = pattern(40, 30, 3, 8);
  for (const int compression : {COMPRESSION_LZMA, COMPRESSION_ZSTD})
    if (TIFFIsCODECConfigured(static_cast<std::uint16_t>(compression)) != 0) {
      SCOPED_TRACE(compression);
      write(folder_ / "given.tif", image, {.name = "other", .compression = compression});
      expect_same(cleave::read_image(folder_ / "given.tif"), image);
    }
}

TEST_F(TiffTest, white_that_is_zero_is_inverted) {
  for (const int bits : {8, 16}) {
    Image image = pattern(5, 4, 2, bits);
    write(folder_ / "given.tif", image, {},
          [](TIFF* tiff) { TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE); });
    for (std::size_t i = 0; i < image.samples.size(); i += 2) // but not the alpha
      image.samples[i] = static_cast<std::uint16_t>(image.full() - image.samples[i]);
    expect_same(cleave::read_image(folder_ / "given.tif"), image);
  }
}

TEST_F(TiffTest, colours_times_alpha_are_divided) {
  const Image stored{4, 1, 2, 8, {50, 100, 9, 0, 255, 255, 200, 100}};
  write(folder_ / "given.tif", stored, {}, [](TIFF* tiff) {
    const std::uint16_t alpha = EXTRASAMPLE_ASSOCALPHA;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha);
  });
  EXPECT_THAT(cleave::read_image(folder_ / "given.tif").samples,
              ElementsAre(128, 100, 0, 0, 255, 255, 255, 100));

  const Image deep{2, 1, 4, 16, {65'535, 1, 0, 65'535, 65'535, 1, 0, 1}};
  write(folder_ / "given.tif", deep, {}, [](TIFF* tiff) {
    const std::uint16_t alpha = EXTRASAMPLE_ASSOCALPHA;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &alpha);
  });
  EXPECT_THAT(cleave::read_image(folder_ / "given.tif").samples,
              ElementsAre(65'535, 1, 0, 65'535, 65'535, 65'535, 0, 1));
}

TEST_F(TiffTest, a_sample_that_nothing_is_said_of_is_alpha) {
  const Image image = pattern(5, 4, 4, 8);
  write(folder_ / "given.tif", image, {}, [](TIFF* tiff) {
    const std::uint16_t unsaid = EXTRASAMPLE_UNSPECIFIED;
    TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &unsaid);
  });
  expect_same(cleave::read_image(folder_ / "given.tif"), image);
}

TEST_F(TiffTest, jpeg_becomes_rgb) {
  if (TIFFIsCODECConfigured(COMPRESSION_JPEG) == 0)
    GTEST_SKIP() << "this libtiff has no JPEG";
  Image image{64, 48, 3, 8, {}};
  for (int i = 0; i < 64 * 48; ++i) // one colour, which JPEG keeps but for its rounding
    image.samples.insert(image.samples.end(), {200, 100, 50});
  write(folder_ / "given.tif", image, {.name = "JPEG", .compression = COMPRESSION_JPEG, .rows = 16},
        [](TIFF* tiff) {
          TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_YCBCR);
          TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        });
  const Image back = cleave::read_image(folder_ / "given.tif");
  EXPECT_EQ(back.channels, 3);
  ASSERT_EQ(back.samples.size(), image.samples.size());
  for (std::size_t i = 0; i < back.samples.size(); ++i)
    ASSERT_NEAR(back.samples[i], image.samples[i], 3) << i;
}

TEST_F(TiffTest, the_first_page_is_read) {
  const Image first = pattern(6, 5, 1, 8);
  write(folder_ / "given.tif", first, {});
  write(folder_ / "given.tif", pattern(9, 9, 3, 8), {.name = "second", .mode = "a"});
  expect_same(cleave::read_image(folder_ / "given.tif"), first);
}

TEST_F(TiffTest, other_kinds_are_refused_by_name) {
  const auto refused = [this](int channels, const ChangeTags& change) {
    write(folder_ / "given.tif", pattern(16, 8, channels, 8), {}, change);
    EXPECT_THROW((void)cleave::read_image_header(folder_ / "given.tif"), Error);
    return refusal(folder_ / "given.tif");
  };
  const auto tag = [](std::uint32_t tag, int value) {
    return [tag, value](TIFF* tiff) { TIFFSetField(tiff, tag, value); };
  };
  EXPECT_THAT(refused(1,
                      [](TIFF* tiff) {
                        std::vector<std::uint16_t> map(256);
                        TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_PALETTE);
                        TIFFSetField(tiff, TIFFTAG_COLORMAP, map.data(), map.data(), map.data());
                      }),
              HasSubstr("palette"));
  EXPECT_THAT(refused(4, tag(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_SEPARATED)), HasSubstr("CMYK"));
  EXPECT_THAT(refused(3, tag(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_CIELAB)), HasSubstr("L*a*b*"));
  EXPECT_THAT(refused(1, tag(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MASK)), HasSubstr("mask"));
  EXPECT_THAT(refused(1, tag(TIFFTAG_PHOTOMETRIC, 32'803)), HasSubstr("32803")); // raw
  EXPECT_THAT(refused(1, tag(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_INT)), HasSubstr("signed"));
  EXPECT_THAT(refused(1, tag(TIFFTAG_ORIENTATION, ORIENTATION_BOTRIGHT)),
              HasSubstr("orientation 3"));
  EXPECT_THAT(refused(4,
                      [](TIFF* tiff) {
                        const std::uint16_t types[] = {0, 0, 0};
                        TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
                        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 3, types);
                      }),
              HasSubstr("3 extra samples"));
  EXPECT_THAT(refused(2,
                      [](TIFF* tiff) {
                        TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 0, nullptr);
                        TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
                      }),
              HasSubstr("fewer samples"));
}

TEST_F(TiffTest, other_depths_are_refused_by_name) {
  const auto refused = [this](int bits, int format) {
    {
      const Tiff tiff(TIFFOpen((folder_ / "given.tif").c_str(), "w"));
      set_tags(tiff.get(), {16, 1, 1, bits, {}}, {});
      TIFFSetField(tiff.get(), TIFFTAG_SAMPLEFORMAT, format);
      std::vector<char> row(16 * 8);
      TIFFWriteEncodedStrip(tiff.get(), 0, row.data(), 16 * bits / 8);
    }
    return refusal(folder_ / "given.tif");
  };
  EXPECT_THAT(refused(1, SAMPLEFORMAT_UINT), HasSubstr("1 bits a sample"));
  EXPECT_THAT(refused(4, SAMPLEFORMAT_UINT), HasSubstr("4 bits a sample"));
  EXPECT_THAT(refused(32, SAMPLEFORMAT_UINT), HasSubstr("32 bits a sample"));
  EXPECT_THAT(refused(16, SAMPLEFORMAT_IEEEFP), HasSubstr("floating-point"));
  EXPECT_THAT(refused(16, SAMPLEFORMAT_COMPLEXINT), HasSubstr("complex"));
}

TEST_F(TiffTest, what_is_no_image_is_refused_by_name) {
  EXPECT_THAT(refusal(folder_ / "absent.tif"), HasSubstr("no such file"));
  EXPECT_THAT(refusal(file("II*")), HasSubstr("neither a PNG nor a TIFF"));
  EXPECT_THAT(refusal(file(std::string("II*\0", 4))), HasSubstr("damaged TIFF"));
  EXPECT_THAT(refusal(file(std::string("MM\0+", 4))), HasSubstr("damaged TIFF"));
}

TEST_F(TiffTest, the_content_says_the_format) {
  const Image image = pattern(5, 5, 3, 8);
  cleave::write_image(folder_ / "a.tif", image);
  std::filesystem::rename(folder_ / "a.tif", folder_ / "a.png");
  expect_same(cleave::read_image(folder_ / "a.png"), image);
}

// Damaged files: an Error, or an image of the size that the header says.
void expect_no_crash(const std::filesystem::path& path) {
  try {
    const Image image = cleave::read_image(path);
    EXPECT_EQ(static_cast<std::int64_t>(image.samples.size()),
              image.width * image.height * image.channels);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().file, path.string());
    EXPECT_THAT(error.message(), testing::Not(testing::EndsWith(": ")));
  }
}

// Small files of all codecs, so that every damage meets each.
std::vector<std::string> samples_of_files(const std::filesystem::path& path) {
  const std::vector<Form> forms = {
      {.name = "plain", .mode = "wb"},
      {.name = "LZW", .compression = COMPRESSION_LZW, .predictor = PREDICTOR_HORIZONTAL},
      {.name = "deflated tiles", .compression = COMPRESSION_ADOBE_DEFLATE, .tile = 16},
      {.name = "PackBits", .mode = "w8", .compression = COMPRESSION_PACKBITS, .separate = true},
      {.name = "JPEG", .compression = COMPRESSION_JPEG, .rows = 8},
      {.name = "zstd", .compression = COMPRESSION_ZSTD},
      {.name = "LZMA", .compression = COMPRESSION_LZMA},
      {.name = "WebP", .compression = COMPRESSION_WEBP},
      {.name = "LERC", .compression = COMPRESSION_LERC},
  };
  std::vector<std::string> files;
  for (const Form& form : forms)
    if (TIFFIsCODECConfigured(static_cast<std::uint16_t>(form.compression)) != 0) {
      write(path, pattern(8, 8, 3, 8), form);
      files.push_back(content_of(path));
    }
  return files;
}

TEST_F(TiffTest, a_file_cut_anywhere_does_no_harm) {
  for (const std::string& whole : samples_of_files(folder_ / "whole.tif"))
    for (std::size_t size = 1; size < whole.size(); ++size) {
      SCOPED_TRACE(size);
      expect_no_crash(file(whole.substr(0, size)));
    }
}

TEST_F(TiffTest, a_changed_byte_anywhere_does_no_harm) {
  for (const std::string& whole : samples_of_files(folder_ / "whole.tif"))
    for (std::size_t at = 0; at < whole.size(); ++at)
      for (const int change : {1, 0x80, 0xFF}) {
        SCOPED_TRACE(testing::Message() << at << " xor " << change);
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ change);
        expect_no_crash(file(damaged));
      }
}

TEST_F(TiffTest, what_libtiff_writes_without_its_end_is_damaged) {
  cleave::write_image(folder_ / "whole.tif", pattern(90, 90, 3, 8));
  const std::string whole = content_of(folder_ / "whole.tif");
  for (const std::size_t size : {whole.size() / 2, whole.size() - 1})
    EXPECT_THAT(refusal(file(whole.substr(0, size))), HasSubstr("damaged TIFF image"));
  std::string changed = whole; // in the first strip, whose checksum is wrong then
  changed[100] = static_cast<char>(changed[100] ^ 4);
  EXPECT_THAT(refusal(file(changed)), HasSubstr("damaged TIFF image"));
}

TEST_F(TiffTest, pixels_that_libjpeg_makes_up_are_damage) {
  if (TIFFIsCODECConfigured(COMPRESSION_JPEG) == 0)
    GTEST_SKIP() << "this libtiff has no JPEG";
  write(folder_ / "whole.tif", pattern(64, 64, 1, 8),
        {.name = "JPEG", .mode = "wl", .compression = COMPRESSION_JPEG, .rows = 64});
  std::string content = content_of(folder_ / "whole.tif");
  EXPECT_EQ(refusal(file(content)), "accepted");
  content.replace(content.size() / 2, 2, "\xFF\xD9"); // the end of a JPEG image
  EXPECT_THAT(refusal(file(content)), HasSubstr("damaged TIFF image"));
}

TEST_F(TiffTest, claims_take_no_memory) {
  const auto claim = [this](std::uint32_t width, std::uint32_t height, const Form& form) {
    write(folder_ / "given.tif", pattern(16, 16, 1, 8), form, [&](TIFF* tiff) {
      TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width);
      TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height);
    });
    return refusal(folder_ / "given.tif");
  };
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  for (const std::uint32_t rows : {16, 9'000})
    for (const int compression : {COMPRESSION_ADOBE_DEFLATE, COMPRESSION_LZW})
      EXPECT_THAT(claim(9'000, 9'000, {"strips", "w", compression, PREDICTOR_NONE, rows}),
                  HasSubstr("damaged"));
  EXPECT_THAT(claim(2'000'000, 2'000'000, {}), HasSubstr("2000000 x 2000000 pixels"));
  EXPECT_EQ(claim(16, 16, {.name = "tiles", .mode = "wl", .tile = 16}), "accepted");
  std::string tiles = content_of(folder_ / "given.tif");
  for (const std::string tag : {"\x42\x01", "\x43\x01"}) { // width and height of tiles
    const std::size_t at = tiles.find(tag);
    ASSERT_NE(at, std::string::npos);
    tiles.replace(at + 2, 10, std::string("\4\0\1\0\0\0\0\0\x10\0", 10)); // 2^20 in 32 bits
  }
  EXPECT_THAT(refusal(file(tiles)), HasSubstr("1048576 x 1048576 pixels"));
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 50'000) << "kB taken for refused images";
}

TEST_F(TiffTest, failing_to_write_is_told_and_leaves_nothing) {
  const auto failure = [](const std::filesystem::path& path, const Image& image) {
    try {
      cleave::write_image(path, image);
    } catch (const Error& error) {
      EXPECT_EQ(error.place().file, path.string());
      EXPECT_THAT(error.message(), testing::Not(testing::EndsWith(": ")));
      return error.kind();
    }
    return ErrorKind::interrupted;
  };
  EXPECT_EQ(failure(folder_ / "absent" / "out.tif", pattern(2, 2, 1, 8)), ErrorKind::io);
  std::filesystem::create_directories(folder_ / "taken.tif" / "inside");
  EXPECT_EQ(failure(folder_ / "taken.tif", pattern(2, 2, 1, 8)), ErrorKind::io);
  Image image = pattern(3, 3, 1, 8);
  image.samples.pop_back();
  EXPECT_EQ(failure(folder_ / "out.tif", image), ErrorKind::bad_input);
  EXPECT_EQ(failure(folder_ / "out.jpeg", pattern(3, 3, 1, 8)), ErrorKind::bad_input);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(TiffTest, a_full_disk_is_told_and_leaves_nothing) {
  cleave::write_image(folder_ / "out.tif", pattern(200, 200, 3, 16));
  const auto size = static_cast<rlim_t>(std::filesystem::file_size(folder_ / "out.tif"));
  std::filesystem::remove(folder_ / "out.tif");
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t most : {rlim_t{1}, rlim_t{100}, size / 2, size - 10, size - 1}) {
    const rlimit little{most, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
    EXPECT_THROW(cleave::write_image(folder_ / "out.tif", pattern(200, 200, 3, 16)), Error);
    setrlimit(RLIMIT_FSIZE, &old);
  }
  std::signal(SIGXFSZ, previous);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

} // namespace
