// The workload `mandelbrot`. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "cleave/simd.hpp"
#include "cleave/workload.hpp"
#include "job_run.hpp"
#include "jobs/mandelbrot_band.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

cleave::Workload mandelbrot_workload();

namespace cleave::mandelbrot {
namespace {

using cleave::testing::bytes_of;
using cleave::testing::Given;
using cleave::testing::values_of;
using ::testing::HasSubstr;

// Files of the tests; root writes and reads them.
std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path =
      std::filesystem::path(base != nullptr ? base : "/tmp") / "mandelbrot";
  std::filesystem::create_directories(path);
  return path;
}

std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::unique_ptr<Job> prepared(Pool& pool, const Given& given, Kernel kernel = escape_row) {
  const Workload workload = workload_of(kernel);
  return workload.prepare(values_of(workload, given), pool);
}

View small_view(std::int64_t limit) {
  return {.centre_x = -0.6,
          .centre_y = 0.1,
          .step_x = 0.05,
          .step_y = 0.05,
          .columns = 61,
          .rows = 40,
          .limit = limit};
}

// Every instruction set gives the definition's counts and the same smooth values as the others.
TEST(EscapeRow, IsTheDefinitionByEveryInstructionSet) {
  std::vector<float> first;
  const std::vector<std::string> targets = simd_targets();
  for (const std::string& target : targets) {
    SCOPED_TRACE(target);
    limit_target(target);
    std::vector<float> all;
    for (const std::int64_t limit : {1, 2, 500})
      for (std::int64_t row = 0; row < 40; ++row) {
        const View view = small_view(limit);
        std::vector<std::uint32_t> counts(61);
        std::vector<float> smooth(61);
        escape_row(view, row, counts, smooth);
        for (std::int64_t column = 0; column < 61; ++column) {
          const Escape right = define_pixel(view, row, column);
          const auto i = static_cast<std::size_t>(column);
          EXPECT_EQ(counts[i], right.count) << row << ", " << column;
          EXPECT_NEAR(smooth[i], right.smooth, 1e-4) << row << ", " << column;
        }
        all.insert(all.end(), smooth.begin(), smooth.end());
      }
    if (first.empty())
      first = all;
    EXPECT_EQ(all, first);
  }
  limit_target({});
}

TEST(EscapeRow, KnowsOrbitsByHeart) {
  const auto pixel = [](double x, double y, std::int64_t limit) {
    return define_pixel({.centre_x = x, .centre_y = y, .columns = 1, .rows = 1, .limit = limit}, 0,
                        0);
  };
  EXPECT_EQ(pixel(0, 0, 100).count, 100);
  EXPECT_EQ(pixel(-2, 0, 100).count, 100); // 2, 2, 2 ...
  EXPECT_EQ(pixel(0.25, 0, 1000).count, 1000);
  EXPECT_EQ(pixel(17, 0, 100).count, 0); // 17
  EXPECT_EQ(pixel(1, 0, 100).count, 3);  // 1, 2, 5, 26
  EXPECT_EQ(pixel(-3, 0, 100).count, 2); // -3, 6, 33
  EXPECT_EQ(pixel(0, 4, 100).count, 1);  // 4i, -16 + 4i
}

TEST(EscapeRow, SmoothValuesAreContinuousWhereCountsJump) {
  View view{.centre_x = 0.5, .step_x = 1e-4, .columns = 20'000, .rows = 1, .limit = 1000};
  std::vector<std::uint32_t> counts(20'000);
  std::vector<float> smooth(20'000);
  escape_row(view, 0, counts, smooth);
  int jumps = 0;
  for (std::size_t i = 8'500; i < counts.size(); ++i) {
    jumps += counts[i] != counts[i - 1] ? 1 : 0;
    EXPECT_NEAR(smooth[i], smooth[i - 1], 0.02) << i;
  }
  EXPECT_GT(jumps, 2);
}

TEST(PainterTest, PaintsTurnsOfThePalette) {
  const Painter painter("grey", 16);
  const auto paint = [&](std::uint32_t count, float smooth) {
    std::array<std::uint8_t, 3> colour{};
    painter.paint(std::span(&count, 1), std::span(&smooth, 1), 100, colour);
    return colour;
  };
  using Colour = Painter::Colour;
  EXPECT_EQ(paint(100, 0), (Colour{0, 0, 0}));
  EXPECT_EQ(paint(0, 0), (Colour{20, 20, 20}));
  EXPECT_EQ(paint(4, 4), (Colour{250, 250, 250})); // half a turn
  EXPECT_EQ(paint(16, 16), (Colour{20, 20, 20}));  // a turn
  EXPECT_EQ(paint(36, 36), (Colour{250, 250, 250}));
  for (const std::string& name : Painter::names())
    EXPECT_NE(Painter(name, 1).names().size(), 0);
}

TEST(Mandelbrot, SameBytesAndFilesAtEveryLayout) {
  const Session session;
  const Comm comm(session);
  if (comm.is_root())
    std::filesystem::remove_all(folder()); // what a killed test left
  comm.barrier();                          // or another rank may make the folder meanwhile
  const auto png = folder() / "a.png";
  const auto raw = folder() / "a.h5";
  std::vector<std::byte> bytes;
  std::string picture;
  std::string counts;
  for (const int threads : {1, 2})
    for (const char* schedule : {"auto", "block", "cyclic,2"}) {
      SCOPED_TRACE(::testing::Message() << threads << " threads, " << schedule);
      Pool pool(session, {.threads = threads, .schedule = Schedule::parse(schedule)});
      const auto job = prepared(
          pool,
          {{"columns", "301"}, {"rows", "257"}, {"limit", "300"}, {"output", png}, {"raw", raw}});
      job->run(pool);
      job->run(pool);
      if (!pool.is_root())
        continue;
      const Verdict verdict = job->check();
      EXPECT_EQ(verdict.verify, Verify::ok) << verdict.how;
      EXPECT_THAT(verdict.how, HasSubstr("4096 pixels equal the definition; symmetric"));
      EXPECT_THAT(verdict.how, HasSubstr("area 1.5"));
      EXPECT_FALSE(std::filesystem::exists(png)) << "before the end of the run";
      job->write_outputs();
      if (bytes.empty()) {
        bytes = bytes_of(*job);
        picture = content(png);
        counts = content(raw);
      }
      EXPECT_EQ(bytes_of(*job), bytes);
      EXPECT_TRUE(content(png) == picture);
      EXPECT_TRUE(content(raw) == counts);
      EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder()), {}), 2);
      std::filesystem::remove(png);
      std::filesystem::remove(raw);
    }
}

TEST(Mandelbrot, ThePictureIsThatOfTheDefinition) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const auto png = folder() / "b.png";
  const auto job = prepared(pool, {{"columns", "40"},
                                   {"rows", "30"},
                                   {"corners", "-2, -1.5, 0.5, 1"},
                                   {"limit", "50"},
                                   {"palette", "fire"},
                                   {"cycle", "8"},
                                   {"output", png}});
  job->run(pool);
  if (!pool.is_root())
    return;
  job->write_outputs();
  const Image image = read_png(png);
  std::filesystem::remove(png);
  EXPECT_EQ(image.width, 40);
  EXPECT_EQ(image.height, 30);
  const View view{.centre_x = -0.75,
                  .centre_y = -0.25,
                  .step_x = 2.5 / 40,
                  .step_y = 2.5 / 30,
                  .columns = 40,
                  .rows = 30,
                  .limit = 50};
  const Painter painter("fire", 8);
  for (std::int64_t i = 0; i < 40 * 30; ++i) {
    const Escape right = define_pixel(view, i / 40, i % 40);
    Painter::Colour colour{};
    painter.paint(std::span(&right.count, 1), std::span(&right.smooth, 1), 50, colour);
    for (std::size_t c = 0; c < 3; ++c) // the kernel's smooth values differ by 1e-7
      EXPECT_NEAR(image.samples[static_cast<std::size_t>(3 * i) + c], colour[c], 1) << i;
  }
}

TEST(Mandelbrot, OddSizesAndASinglePixel) {
  const Session session;
  Pool pool(session, {.threads = 2});
  for (const auto& [columns, rows] : {std::pair{"1", "1"}, {"1", "999"}, {"12345", "2"}}) {
    const auto job = prepared(pool, {{"columns", columns}, {"rows", rows}, {"width", "0.1"}});
    job->run(pool);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
    }
  }
}

// Kernels that are wrong in one way each.
void one_iteration_too_few(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                           std::span<float> smooth) {
  View shorter = view;
  --shorter.limit;
  escape_row(shorter, row, counts, smooth);
}
void shifted(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
             std::span<float> smooth) {
  escape_row(view, std::max<std::int64_t>(row - 1, 0), counts, smooth);
}
void not_smooth(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
                std::span<float> smooth) {
  escape_row(view, row, counts, smooth);
  std::ranges::copy(counts, smooth.begin());
}
void nothing(const View&, std::int64_t, std::span<std::uint32_t>, std::span<float>) {}
/// Right but for one pixel far from the others that are looked at.
void one_pixel(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
               std::span<float> smooth) {
  escape_row(view, row, counts, smooth);
  if (row == 700)
    ++counts[1];
}
/// Symmetric, and right wherever the check looks; else half of the set is missing.
void too_small(const View& view, std::int64_t row, std::span<std::uint32_t> counts,
               std::span<float> smooth) {
  const std::vector<Sample> samples = BandMaker({view, "grey", 1, {}, {}}, nullptr).samples();
  const std::vector<std::uint32_t> none(counts.size());
  escape_row(view, row, counts, smooth);
  if (std::abs(view.y(row)) > 0.4)
    return;
  const std::vector<std::uint32_t> right(counts.begin(), counts.end());
  std::ranges::copy(none, counts.begin());
  const std::int64_t mirrored = view.rows - 1 - row;
  for (const Sample& sample : samples)
    if (const auto i = static_cast<std::size_t>(sample.column);
        sample.row == row || sample.row == mirrored)
      counts[i] = right[i];
}

TEST(Mandelbrot, ABrokenKernelFailsTheCheck) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const auto verdict = [&](Kernel kernel) {
    const auto job = prepared(
        pool, {{"columns", "1000"}, {"rows", "1000"}, {"width", "3"}, {"limit", "40"}}, kernel);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << "before any run";
    }
    job->run(pool);
    return pool.is_root() ? job->check() : Verdict{};
  };
  const Verdict right = verdict(escape_row);
  const Verdict few = verdict(one_iteration_too_few);
  const Verdict moved = verdict(shifted);
  const Verdict stepped = verdict(not_smooth);
  const Verdict empty = verdict(nothing);
  const Verdict one = verdict(one_pixel);
  const Verdict small = verdict(too_small);
  if (!pool.is_root())
    return;
  EXPECT_EQ(right.verify, Verify::ok) << right.how;
  for (const Verdict& wrong : {few, moved, stepped, empty}) {
    EXPECT_EQ(wrong.verify, Verify::failed);
    EXPECT_THAT(wrong.how, HasSubstr("iterations"));
  }
  EXPECT_EQ(one.verify, Verify::failed);
  EXPECT_THAT(one.how, HasSubstr("row 299 from the top is not like that from the bottom"));
  EXPECT_EQ(small.verify, Verify::failed);
  EXPECT_THAT(small.how, HasSubstr("the area"));
}

TEST(Mandelbrot, AFailedFileDoesNotLoseTheAnswer) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto png = folder() / "c.png";
  const auto raw = folder() / "c.h5";
  const auto job = prepared(pool, {{"columns", "800"},
                                   {"rows", "600"},
                                   {"limit", "30"},
                                   {"cycle", "0.1"},
                                   {"output", png},
                                   {"raw", raw}});
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit little{150'000, old.rlim_max};
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little); // for the picture; the counts are smaller
  job->run(pool);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok);
  EXPECT_EQ(std::get<std::int64_t>(job->summary().at(0).value) > 0, true);
  try {
    job->write_outputs();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(error.place().file, png);
  }
  EXPECT_FALSE(std::filesystem::exists(png));
  EXPECT_TRUE(std::filesystem::exists(raw)) << "the other file is whole";
  std::filesystem::remove(raw);
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

// Every rank learns the same refusal, about `key`.
void expect_refusal(Pool& pool, const Given& given, const std::string& key,
                    const std::string& message) {
  cleave::testing::expect_refusal([&] { (void)prepared(pool, given); }, key, message);
}

TEST(Mandelbrot, BadInputsAreRefusedBeforeWork) {
  const Session session;
  Pool pool(session, {.threads = 1});
  for (const char* key : {"columns", "rows", "limit"})
    for (const char* bad : {"0", "-1", "1.5", "1e11", "nan", "x", ""})
      expect_refusal(pool, {{key, bad}}, key, "must be");
  for (const char* key : {"centre_x", "centre_y", "width", "cycle"})
    for (const char* bad : {"-1001", "1e10", "nan", "inf", "x", ""})
      expect_refusal(pool, {{key, bad}}, key, "must be");
  for (const char* key : {"width", "cycle"})
    expect_refusal(pool, {{key, "0"}}, key, "must be");
  for (const char* bad : {"1", "1,2,3", "1,2,3,4,5", "0,0,0,1", "0,0,1,0", "1,0,0,1", "0,0,1,nan",
                          "0,0,1,1e4", "a,b,c,d", "0,0,1,1x", "0;0;1;1"})
    expect_refusal(pool, {{"corners", bad}}, "corners", "must be LEFT,BOTTOM,RIGHT,TOP");
  expect_refusal(pool, {{"palette", "pink"}}, "palette", "dusk, fire, ocean, grey");
  expect_refusal(pool, {{"width", "1e-13"}}, "width", "double precision");
  expect_refusal(pool, {{"corners", "-1,0,-0.99999999999999,1"}}, "corners", "double");
  expect_refusal(pool, {{"columns", "5e8"}, {"rows", "2e9"}}, "columns",
                 "of this machine's memory");
  expect_refusal(pool, {{"output", "a.jpg"}}, "output", "must end in .png");
  expect_refusal(pool, {{"raw", "a.png"}}, "raw", "must end in .h5");
}

} // namespace
} // namespace cleave::mandelbrot
