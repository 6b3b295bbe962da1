// The fast kernel of jobs/denoise against the plain definition, and that against sums by hand.
#include "cleave/simd.hpp"
#include "jobs/non_local_means.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace {

using cleave::Image;
using cleave::TaskRange;
using cleave::nlm::Settings;

// Noise on a slope: weights of every size from 0 to 1.
Image picture(std::int64_t width, std::int64_t height, int channels, int bits) {
  Image image{width, height, channels, bits, {}};
  std::mt19937_64 random(7);
  for (std::int64_t i = 0; i < width * height * channels; ++i) {
    const double slope = static_cast<double>(i) / static_cast<double>(width * height * channels);
    const double noise = static_cast<double>(random() % 1000) / 1000;
    const double value = random() % 50 == 0 ? noise : 0.6 * slope + 0.3 * noise;
    image.samples.push_back(static_cast<std::uint16_t>(value * image.full()));
  }
  return image;
}

// filter_rows of an image cut into bands of `grain` rows, each given no more than its halo.
std::vector<double> filtered(const Image& image, const Settings& settings, std::int64_t grain,
                             cleave::nlm::Scratch& scratch) {
  const std::int64_t row = image.width * image.channels;
  std::vector<double> out(image.samples.size(), -1);
  for (std::int64_t first = 0; first < image.height; first += grain) {
    const TaskRange rows{first, std::min(image.height, first + grain)};
    const std::int64_t halo = settings.r + settings.f;
    const TaskRange in_rows{std::max<std::int64_t>(0, rows.first - halo),
                            std::min(image.height, rows.last + halo)};
    // A copy, so that the address sanitizer sees a step beyond the halo.
    const std::vector<std::uint16_t> in(image.samples.begin() + in_rows.first * row,
                                        image.samples.begin() + in_rows.last * row);
    cleave::nlm::filter_rows(
        {.whole = {image.width, image.height, image.channels, image.bits},
         .settings = settings,
         .rows = rows,
         .in_rows = in_rows,
         .in = in,
         .out = std::span(out).subspan(static_cast<std::size_t>(rows.first * row),
                                       static_cast<std::size_t>(rows.size() * row))},
        scratch);
  }
  return out;
}

std::vector<double> defined(const Image& image, const Settings& settings) {
  std::vector<double> out(image.samples.size(), -1);
  const auto channels = static_cast<std::size_t>(image.channels);
  for (std::int64_t i = 0; i < image.width * image.height; ++i)
    cleave::nlm::define_pixel(
        image, settings, i / image.width, i % image.width,
        std::span(out).subspan(static_cast<std::size_t>(i) * channels, channels));
  return out;
}

// The largest difference as a share of the full range; NaN stays.
double difference(const Image& image, const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const double gap = std::abs(a[i] - b[i]) / image.full(); !(gap <= most))
      most = gap;
  return most;
}

TEST(NonLocalMeans, reflection_folds_like_a_mirror) {
  const auto row = [](std::int64_t n) {
    std::vector<std::int64_t> columns;
    for (std::int64_t i = -7; i <= 9; ++i)
      columns.push_back(cleave::nlm::reflect(i, n));
    return columns;
  };
  using testing::ElementsAre;
  EXPECT_THAT(row(1), testing::Each(0));
  EXPECT_THAT(row(2), ElementsAre(1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_THAT(row(4), ElementsAre(1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3));
}

TEST(NonLocalMeans, two_pixels_by_hand) {
  // d^2 = 1 whether the patch is the pixel or (-1,0,1) -> (b,a,b) against (a,b,a).
  const Image image{2, 1, 1, 8, {0, 255}};
  for (const int f : {0, 1, 4}) {
    const double weight = std::exp(-(1 - 2 * 0.25) / 4);
    const std::vector<double> both{255 * weight / (1 + weight), 255 / (1 + weight)};
    const Settings settings{f, 1, 2, 0.5};
    cleave::nlm::Scratch scratch;
    EXPECT_LT(difference(image, defined(image, settings), both), 1e-14);
    EXPECT_LT(difference(image, filtered(image, settings, 1, scratch), both), 1e-14);
  }
}

TEST(NonLocalMeans, three_pixels_by_hand) {
  // Patches of radius 1: (100,0,100), (0,100,200), (100,200,100); r = 1 hides 0 and 2 from each
  // other. d^2 of neighbours: (100^2 + 100^2 + 100^2) / 3.
  const Image image{1, 3, 1, 8, {0, 100, 200}};
  const Settings settings{1, 1, 0.5, 0};
  const double weight = std::exp(-(100.0 * 100 / (255 * 255)) / 0.25);
  const std::vector<double> column{100 * weight / (1 + weight), 100,
                                   (200 + 100 * weight) / (1 + weight)};
  cleave::nlm::Scratch scratch;
  EXPECT_LT(difference(image, defined(image, settings), column), 1e-14);
  EXPECT_LT(difference(image, filtered(image, settings, 2, scratch), column), 1e-14);
}

TEST(NonLocalMeans, colours_share_a_weight_and_alpha_passes) {
  const Image image{2, 1, 4, 8, {10, 20, 30, 200, 40, 20, 90, 100}};
  const Settings settings{0, 3, 0.1, 0};
  const double d2 = (30.0 * 30 + 60.0 * 60) / 3 / (255 * 255);
  const double w = std::exp(-d2 / 0.01);
  const auto mix = [&](double a, double b) { return (a + w * b) / (1 + w); };
  const std::vector<double> both{mix(10, 40), 20, mix(30, 90), 200,
                                 mix(40, 10), 20, mix(90, 30), 100};
  cleave::nlm::Scratch scratch;
  EXPECT_LT(difference(image, defined(image, settings), both), 1e-14);
  EXPECT_LT(difference(image, filtered(image, settings, 1, scratch), both), 1e-14);
}

TEST(NonLocalMeans, every_kernel_equals_the_definition) {
  cleave::nlm::Scratch scratch;
  const std::pair<int, int> sizes[] = {{1, 1}, {1, 9}, {9, 1}, {3, 5}, {2, 2}, {35, 13}};
  const Settings all[] = {{2, 6, 0.064, 0.08}, {0, 2, 0.3, 0}, {3, 1, 0.2, 0.1},
                          {5, 4, 0.1, 0.05},   {1, 0, 1, 0},   {2, 3, 1e-4, 0}};
  for (const std::string& target : cleave::simd_targets()) {
    cleave::limit_target(target);
    for (const auto& [width, height] : sizes)
      for (const int channels : {1, 2, 3, 4})
        for (const int bits : {8, 16})
          for (const Settings& settings : all) {
            SCOPED_TRACE(testing::Message()
                         << target << ": " << width << " x " << height << " x " << channels << ", "
                         << bits << " bits, f " << settings.f << ", r " << settings.r);
            const Image image = picture(width, height, channels, bits);
            EXPECT_LT(
                difference(image, filtered(image, settings, 4, scratch), defined(image, settings)),
                1e-10);
          }
  }
  cleave::limit_target("");
}

TEST(NonLocalMeans, values_do_not_depend_on_the_bands) {
  cleave::nlm::Scratch scratch;
  for (const int bits : {8, 16})
    for (const int channels : {1, 3}) {
      const Image image = picture(37, 41, channels, bits);
      const Settings settings{2, 5, 0.1, 0.08};
      const std::vector<double> whole = filtered(image, settings, 41, scratch);
      for (const std::int64_t grain : {1, 2, 7, 16})
        EXPECT_EQ(filtered(image, settings, grain, scratch), whole) << grain << " rows a band";
    }
}

TEST(NonLocalMeans, the_longest_sums_stay_exact) {
  // Black beside white, patches as large as allowed: a sum that rounded would leave traces.
  for (const int bits : {8, 16}) {
    Image image{30, 6, 3, bits, {}};
    for (int i = 0; i < 30 * 6 * 3; ++i)
      image.samples.push_back(static_cast<std::uint16_t>(i / 3 % 30 < 15 ? 0 : image.full()));
    const Settings settings{10, 7, 0.8, 0};
    cleave::nlm::Scratch scratch;
    EXPECT_LT(difference(image, filtered(image, settings, 6, scratch), defined(image, settings)),
              1e-12);
  }
}

} // namespace
