// Files that grow: bytes, PNG from packed rows, HDF5 from packed bands. cli_test.py reads the HDF5
// file of the workload mandelbrot with h5py.
#include "cleave/data.hpp"
#include "cleave/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class StreamedFiles : public ::testing::Test {
protected:
  StreamedFiles() {
    const char* base = std::getenv("TMPDIR");
    folder_ = fs::path(base != nullptr ? base : "/tmp") / "streamed_files_test";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~StreamedFiles() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream stream(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  [[nodiscard]] std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder_), {});
  }

  /// What `work` throws.
  template <class Work>
  [[nodiscard]] static Error failure(Work work) {
    try {
      work();
    } catch (const Error& error) {
      return error;
    }
    return {ErrorKind::interrupted, "nothing was thrown"};
  }

  /// What `work` throws where no file may have more bytes than these.
  template <class Work>
  [[nodiscard]] static Error failure_beyond(rlim_t bytes, Work work) {
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const rlimit little{bytes, old.rlim_max};
    const auto previous = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &little);
    const Error error = failure(work);
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, previous);
    return error;
  }

  fs::path folder_;
};

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Numbers that do not compress.
template <class T>
std::vector<T> noise(std::size_t count) {
  std::vector<T> values(count);
  std::uint32_t state = 1;
  for (T& value : values)
    value = static_cast<T>((state = state * 1'664'525U + 1'013'904'223U) >> 8U);
  return values;
}

std::vector<std::uint8_t> samples_of(const ImageHeader& image) {
  return noise<std::uint8_t>(static_cast<std::size_t>(image.width * image.height) *
                             static_cast<std::size_t>(image.channels));
}

void append_rows(PngFile& png, const ImageHeader& image, std::span<const std::uint8_t> samples,
                 std::int64_t rows) {
  const auto row = static_cast<std::size_t>(image.width * image.channels);
  for (; !samples.empty(); rows = std::max<std::int64_t>(1, rows - 1)) {
    const std::size_t taken = std::min(static_cast<std::size_t>(rows), samples.size() / row);
    png.append(static_cast<std::int64_t>(taken), pack_png_rows(image, samples.first(taken * row)));
    samples = samples.subspan(taken * row);
  }
}

TEST_F(StreamedFiles, bytes_have_their_name_when_they_are_whole) {
  std::ofstream(folder_ / "a.txt") << "old and much longer";
  {
    StreamedFile file(folder_ / "a.txt");
    file.append(bytes_of("some "));
    file.append({});
    file.append(bytes_of("more"));
    EXPECT_EQ(content("a.txt"), "old and much longer");
    file.publish();
    EXPECT_EQ(content("a.txt"), "some more");
  }
  EXPECT_EQ(files(), 1);
}

TEST_F(StreamedFiles, what_is_not_published_leaves_nothing) {
  StreamedFile(folder_ / "a.txt").append(bytes_of("x"));
  PngFile(folder_ / "a.png", {.width = 1, .height = 1});
  const std::vector<std::uint32_t> one{1};
  GridFile(folder_ / "a.h5", {.name = "n", .x = {0}, .y = {0, 1}, .band_rows = 1})
      .append(pack_grid_band(one, 1));
  EXPECT_EQ(files(), 0);
}

TEST_F(StreamedFiles, a_png_of_packed_rows_reads_back) {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 9}, {9, 1}, {33, 20}, {5000, 7}})
    for (const int channels : {1, 2, 3, 4})
      for (const std::int64_t rows : {1, 3, 100}) {
        SCOPED_TRACE(::testing::Message()
                     << width << " x " << height << " x " << channels << ", by " << rows);
        const ImageHeader image{width, height, channels, 8};
        const auto samples = samples_of(image);
        PngFile png(folder_ / "a.png", image);
        append_rows(png, image, samples, rows);
        png.publish();
        const Image back = read_png(folder_ / "a.png");
        EXPECT_EQ(back.width, width);
        EXPECT_EQ(back.channels, channels);
        EXPECT_EQ(back.bits, 8);
        EXPECT_TRUE(std::ranges::equal(back.samples, samples));
      }
}

TEST_F(StreamedFiles, a_png_that_cannot_be_is_refused) {
  for (const ImageHeader& image : {ImageHeader{0, 1, 1, 8},
                                   {1, 0, 1, 8},
                                   {1, 1, 0, 8},
                                   {1, 1, 5, 8},
                                   {1, 1, 1, 16},
                                   {std::int64_t{1} << 31, 1, 1, 8}}) {
    const Error error = failure([&] { PngFile(folder_ / "a.png", image); });
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(error.place().file, folder_ / "a.png");
  }
  const std::vector<std::uint8_t> seven(7);
  EXPECT_EQ(failure([&] {
              (void)pack_png_rows({2, 2, 3, 8}, seven);
            }).kind(),
            ErrorKind::bad_input);
  EXPECT_EQ(files(), 0);
}

TEST_F(StreamedFiles, missing_rows_are_told) {
  PngFile png(folder_ / "a.png", {.width = 2, .height = 3});
  png.append(2, pack_png_rows({.width = 2}, std::vector<std::uint8_t>(4)));
  EXPECT_THAT(failure([&] { png.publish(); }).what(), HasSubstr("3 rows, but 2 were given"));
  const Grid grid{.name = "n", .x = {0, 1}, .y = {0, 1, 2}, .band_rows = 2};
  GridFile file(folder_ / "a.h5", grid);
  file.append(pack_grid_band(std::vector<std::uint32_t>(4), 4));
  EXPECT_THAT(failure([&] { file.publish(); }).what(), HasSubstr("2 bands, but 1 were given"));
  EXPECT_EQ(failure([] { (void)pack_grid_band(std::vector<std::uint32_t>(5), 4); }).kind(),
            ErrorKind::bad_input);
  EXPECT_EQ(failure([] { (void)pack_grid_band({}, 4); }).kind(), ErrorKind::bad_input);
}

TEST_F(StreamedFiles, a_directory_that_is_not_there_is_told) {
  const fs::path absent = folder_ / "absent";
  for (const Error& error :
       {failure([&] { StreamedFile(absent / "a.txt"); }),
        failure([&] { PngFile(absent / "a.png", {.width = 1, .height = 1}); }),
        failure([&] { GridFile(absent / "a.h5", {.name = "n", .x = {0}, .y = {0}}); })}) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(fs::path(error.place().file).parent_path(), absent);
    EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
  }
}

TEST_F(StreamedFiles, a_full_disk_is_told_and_leaves_nothing) {
  const std::string text(100'000, 'x');
  const ImageHeader image{300, 300, 3, 8};
  const auto samples = samples_of(image);
  const auto counts = noise<std::uint32_t>(10'000);
  const auto write_text = [&] {
    StreamedFile file(folder_ / "a.txt");
    file.append(bytes_of(text));
    file.publish();
  };
  const auto write_image = [&] {
    PngFile png(folder_ / "a.png", image);
    append_rows(png, image, samples, 5);
    png.publish();
  };
  const auto write_grid = [&] {
    const std::vector<double> axis(1000);
    GridFile grid(folder_ / "a.h5", {.name = "n", .x = axis, .y = axis, .band_rows = 10});
    for (int band = 0; band < 100; ++band)
      grid.append(pack_grid_band(counts, 10'000));
    grid.publish();
  };
  for (const rlim_t bytes : {100, 5000, 50'000})
    for (const Error& error :
         {failure_beyond(bytes, write_text), failure_beyond(bytes, write_image),
          failure_beyond(bytes, write_grid)}) {
      EXPECT_EQ(error.kind(), ErrorKind::io) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("File too large"));
      EXPECT_EQ(files(), 0) << error.what();
    }
}

} // namespace
} // namespace cleave
