// The workload `denoise`. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "cleave/workload.hpp"
#include "job_run.hpp"
#include "jobs/non_local_means.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

cleave::Workload denoise_workload();

namespace cleave {
namespace {

using ::testing::HasSubstr;

// Files of the tests; root writes and reads them.
std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path = std::filesystem::path(base != nullptr ? base : "/tmp") / "denoise";
  std::filesystem::create_directories(path);
  return path;
}

Image picture(std::int64_t width, std::int64_t height, int channels, int bits) {
  Image image{width, height, channels, bits, {}};
  for (std::int64_t i = 0; i < width * height * channels; ++i) {
    const double wave = std::sin(static_cast<double>(i) / 9) + std::sin(static_cast<double>(i * i));
    image.samples.push_back(static_cast<std::uint16_t>((2 + wave) / 4 * image.full()));
  }
  return image;
}

using cleave::testing::bytes_of;
using cleave::testing::Given;
using cleave::testing::values_of;

std::unique_ptr<Job> prepared(Pool& pool, const Given& given) {
  const Workload denoise = denoise_workload();
  return denoise.prepare(values_of(denoise, given), pool);
}

// The answer by the definition, rounded half up.
std::vector<std::byte> defined(const Image& image, const nlm::Settings& settings) {
  std::vector<std::uint16_t> samples;
  std::vector<double> pixel(static_cast<std::size_t>(image.channels));
  for (std::int64_t i = 0; i < image.width * image.height; ++i) {
    nlm::define_pixel(image, settings, i / image.width, i % image.width, pixel);
    for (const double sample : pixel)
      samples.push_back(static_cast<std::uint16_t>(std::floor(sample + 0.5)));
  }
  const auto bytes = std::as_bytes(std::span(samples));
  return {bytes.begin(), bytes.end()};
}

const Fact* fact(const Summary& summary, const std::string& name) {
  for (const Fact& one : summary)
    if (one.name == name)
      return &one;
  return nullptr;
}

// Rows in a band.
std::int64_t grain(std::int64_t height) {
  return std::clamp<std::int64_t>(height / 16, 4, 32);
}

TEST(Denoise, same_bytes_as_the_definition_at_every_layout) {
  const Session session;
  const std::string file = folder() / "input.png";
  for (const auto& [width, height, channels, bits] :
       {std::tuple{1, 1, 1, 8}, {9, 3, 3, 8}, {1, 70, 2, 16}, {23, 37, 4, 8}, {31, 90, 3, 16}}) {
    const Image image = picture(width, height, channels, bits);
    const std::vector<std::byte> right = defined(image, {1, 4, 0.2, 0.1});
    for (const int threads : {1, 2, 3})
      for (const char* schedule : {"block", "cyclic", "cyclic,2"}) {
        SCOPED_TRACE(::testing::Message() << width << " x " << height << " x " << channels << ", "
                                          << threads << " threads, " << schedule);
        Pool pool(session, {.threads = threads, .schedule = Schedule::parse(schedule)});
        if (pool.is_root())
          write_png(file, image);
        const auto job = prepared(
            pool, {{"input", file}, {"f", "1"}, {"r", "4"}, {"h", "0.2"}, {"sigma", "0.1"}});
        EXPECT_EQ(job->tasks(), (height + grain(height) - 1) / grain(height));
        EXPECT_EQ(job->work(), width * height);
        job->run(pool);
        job->run(pool);
        if (!pool.is_root())
          continue;
        EXPECT_EQ(bytes_of(*job), right);
        EXPECT_EQ(job->check().verify, Verify::ok);
      }
  }
}

// What each image of a folder becomes by itself.
std::vector<std::byte> one_by_one(Pool& pool, const std::vector<std::string>& files, Given given) {
  std::vector<std::byte> all;
  for (const std::string& file : files) {
    given["input"] = file;
    const auto job = prepared(pool, given);
    job->run(pool);
    const std::vector<std::byte> bytes = bytes_of(*job);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

TEST(Denoise, several_images_become_what_each_becomes_by_itself) {
  const Session session;
  const std::filesystem::path many = folder() / "many";
  const std::filesystem::path outputs = folder() / "cleaned";
  const std::vector<std::string> files{many / "a.png", many / "b.png", many / "c.png"};
  for (const int threads : {1, 3}) {
    Pool pool(session, {.threads = threads});
    if (pool.is_root()) {
      std::filesystem::remove_all(many);
      std::filesystem::remove_all(outputs);
      std::filesystem::create_directories(many);
      write_png(files[0], picture(9, 70, 3, 8));
      write_png(files[1], picture(1, 1, 1, 16));
      write_png(files[2], picture(40, 11, 4, 8));
      std::ofstream{many / "notes.txt"} << "no image";
    }
    const Given given{{"f", "1"}, {"r", "4"}, {"h", "0.2"}, {"sigma", "0.1"}};
    const std::vector<std::byte> expected = one_by_one(pool, files, given);
    for (const std::string& input : {many.string(), (many / "*.png").string()}) {
      Given all = given;
      all["input"] = input;
      all["outputs"] = outputs;
      const auto job = prepared(pool, all);
      EXPECT_EQ(job->tasks(), 18 + 1 + 3);
      EXPECT_EQ(job->work(), 9 * 70 + 1 + 40 * 11);
      job->run(pool);
      if (!pool.is_root())
        continue;
      EXPECT_EQ(bytes_of(*job), expected) << input;
      EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
      EXPECT_THAT(job->check().how, HasSubstr("of 3 images"));
      job->write_outputs();
      EXPECT_EQ(read_png(outputs / "c.png").channels, 4);
      EXPECT_EQ(read_png(outputs / "b.png").bits, 16);
      EXPECT_EQ(std::get<std::int64_t>(fact(job->summary(), "images")->value), 3);
      const_cast<std::byte&>(job->result().back()) ^= std::byte{8}; // alpha of the last image
      EXPECT_THAT(job->check().how, HasSubstr("of c.png is not"));
      std::filesystem::remove_all(outputs);
    }
    pool.comm().barrier();
  }
}

TEST(Denoise, several_images_have_clean_ones_by_name) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::filesystem::path noisy = folder() / "noisy";
  const std::filesystem::path clean = folder() / "clean";
  if (pool.is_root())
    for (const auto& [to, height] : {std::pair(noisy, 20), {clean, 20}, {folder() / "short", 19}}) {
      std::filesystem::create_directories(to);
      write_png(to / "a.png", picture(20, height, 3, 8));
      write_png(to / "b.png", picture(20, height, 1, 8));
    }
  const Given given{
      {"input", noisy}, {"clean", clean}, {"add_noise", "0.3"}, {"h", "0.3"}, {"sigma", "0.3"}};
  const auto job = prepared(pool, given);
  job->run(pool);
  if (pool.is_root()) {
    EXPECT_EQ(job->check().verify, Verify::ok) << job->check().how;
    EXPECT_EQ(job->details().size(), 2U);
  }
}

TEST(Denoise, the_photograph_gains_eight_decibels) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto job =
      prepared(pool, {{"input", CLEAVE_SOURCE_DIR "/data/astronaut.png"}, {"add_noise", "0.08"}});
  job->run(pool);
  if (!pool.is_root())
    return;
  const Verdict verdict = job->check();
  EXPECT_EQ(verdict.verify, Verify::ok) << verdict.how;
  const Summary summary = job->summary();
  const Fact* psnr = fact(summary, "psnr");
  EXPECT_TRUE(psnr != nullptr && std::get<double>(psnr->value) > 30.3 &&
              std::get<double>(psnr->value) < 30.7)
      << verdict.how;
  EXPECT_EQ(fact(summary, "output"), nullptr);
}

TEST(Denoise, a_wrong_answer_fails_its_check) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::string file = folder() / "input.png";
  if (pool.is_root())
    write_png(file, picture(20, 20, 3, 8));
  const auto job = prepared(pool, {{"input", file}});
  if (pool.is_root()) {
    EXPECT_EQ(job->check().verify, Verify::failed) << "before any run";
  }
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok);
  for (const std::size_t at : {std::size_t{0}, std::size_t{614}, job->result().size() - 2}) {
    auto& byte = const_cast<std::byte&>(job->result()[at]);
    byte ^= std::byte{1};
    EXPECT_EQ(job->check().verify, Verify::failed) << "byte " << at;
    byte ^= std::byte{1};
  }
  EXPECT_EQ(job->check().verify, Verify::ok);
}

TEST(Denoise, a_wrong_band_of_a_large_image_fails_its_check) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto job = prepared(pool, {{"input", CLEAVE_SOURCE_DIR "/data/astronaut.png"}});
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok);
  // The last row of a band, such as a halo one row short would spoil.
  const std::size_t row = 512 * 3 * sizeof(std::uint16_t);
  for (std::size_t i = 63 * row; i < 64 * row; i += 2)
    const_cast<std::byte&>(job->result()[i]) ^= std::byte{2};
  const Verdict verdict = job->check();
  EXPECT_EQ(verdict.verify, Verify::failed);
  EXPECT_THAT(verdict.how, HasSubstr("row 63"));
}

TEST(Denoise, added_noise_is_the_same_everywhere_and_spares_alpha) {
  const Session session;
  const std::string file = folder() / "input.png";
  const Image image = picture(40, 30, 4, 8);
  std::optional<std::vector<std::byte>> first;
  for (const int threads : {1, 3}) {
    Pool pool(session, {.threads = threads, .seed = static_cast<std::uint64_t>(threads)});
    if (pool.is_root())
      write_png(file, image);
    const Given given{{"input", file}, {"add_noise", "0.1"}, {"r", "0"}};
    const auto job = prepared(pool, given);
    Given other = given;
    other["noise_seed"] = "1";
    const auto other_job = prepared(pool, other);
    job->run(pool);
    other_job->run(pool);
    if (!pool.is_root())
      continue;
    // With r = 0 the answer is the noisy image itself.
    EXPECT_EQ(bytes_of(*job), first.value_or(bytes_of(*job)));
    first = bytes_of(*job);
    EXPECT_NE(bytes_of(*other_job), *first);
    const auto* noisy = reinterpret_cast<const std::uint16_t*>(first->data());
    double squares = 0;
    for (std::size_t i = 0; i < image.samples.size(); ++i) {
      if (i % 4 == 3) {
        EXPECT_EQ(noisy[i], image.samples[i]) << "alpha";
      }
      squares += std::pow((noisy[i] - image.samples[i]) / 255.0, 2);
    }
    EXPECT_NEAR(std::sqrt(squares / (40 * 30 * 3)), 0.1, 0.01);
  }
}

TEST(Denoise, a_lower_psnr_is_a_wrong_answer) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto job = prepared(pool, {{"input", CLEAVE_SOURCE_DIR "/data/astronaut.png"},
                                   {"add_noise", "0.02"},
                                   {"h", "1"},
                                   {"f", "0"},
                                   {"r", "2"}});
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::failed);
  EXPECT_THAT(job->check().how, HasSubstr("worse"));
}

TEST(Denoise, the_picture_is_written) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const std::filesystem::path input = folder() / "input.png";
  const std::filesystem::path output = folder() / "output.png";
  if (pool.is_root()) {
    write_png(input, picture(12, 10, 2, 16));
    std::filesystem::remove(output);
  }
  const auto job =
      prepared(pool, {{"input", input}, {"output", output}, {"clean", input}, {"r", "0"}});
  EXPECT_THROW(job->accept_result("answer.h5"), Error);
  EXPECT_NO_THROW(job->accept_result("answer.png"));
  job->run(pool);
  if (!pool.is_root())
    return;
  EXPECT_FALSE(std::filesystem::exists(output)) << "before the end of the run";
  job->write_outputs();
  job->write_result(folder() / "result.png");
  for (const char* name : {"output.png", "result.png"}) {
    const Image written = read_png(folder() / name);
    EXPECT_EQ(written.bits, 16);
    EXPECT_EQ(written.channels, 2);
    const auto bytes = std::as_bytes(std::span(written.samples));
    EXPECT_EQ(std::vector(bytes.begin(), bytes.end()), bytes_of(*job));
  }
  EXPECT_EQ(job->check().verify, Verify::ok);
  const Summary summary = job->summary();
  EXPECT_EQ(std::get<std::string>(fact(summary, "output")->value), output.string());
  EXPECT_EQ(fact(summary, "psnr"), nullptr) << "the PSNR of equal images is infinite";
}

// Every rank learns the same refusal, about `key`.
void expect_refusal(Pool& pool, const Given& given, const std::string& key,
                    const std::string& message) {
  cleave::testing::expect_refusal([&] { (void)prepared(pool, given); }, key, message);
}

TEST(Denoise, bad_inputs_are_refused_before_work) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const std::string good = folder() / "good.png";
  const std::string small = folder() / "small.png";
  const std::string cut = folder() / "cut.png";
  const std::string empty = folder() / "empty.png";
  if (pool.is_root()) {
    write_png(good, picture(20, 20, 3, 8));
    write_png(small, picture(20, 19, 3, 8));
    std::filesystem::copy_file(good, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, 60);
    std::ofstream{empty};
    for (const char* name : {"nothing", "one", "two"})
      std::filesystem::create_directories(folder() / name);
    for (const char* name : {"one", "two"})
      write_png(folder() / name / "good.png", picture(4, 4, 1, 8));
  }
  expect_refusal(pool, {}, "input", "missing");
  expect_refusal(pool, {{"input", good + "x"}}, "input", "no such file");
  expect_refusal(pool, {{"input", folder() / "nothing"}}, "input", "has no images");
  expect_refusal(pool, {{"input", folder() / "x*.png"}}, "input", "matches no file");
  expect_refusal(pool, {{"input", folder() / "*.png"}}, "input", "empty.png");
  expect_refusal(pool, {{"input", folder() / "g*.png"}, {"output", "a.png"}}, "output", "outputs=");
  expect_refusal(pool, {{"input", folder() / "g*.png"}, {"outputs", folder()}}, "outputs",
                 "not empty");
  expect_refusal(pool, {{"input", folder() / "g*.png"}, {"outputs", good}}, "outputs",
                 "must be a directory");
  expect_refusal(pool, {{"input", folder() / "g*.png"}, {"outputs", "/nowhere/a"}}, "outputs",
                 "/nowhere");
  expect_refusal(pool, {{"input", folder() / "{g,s}*.png"}}, "input", "matches no file");
  expect_refusal(pool, {{"input", folder() / "[gs]*.png"}, {"clean", good}}, "clean",
                 "a directory");
  expect_refusal(pool, {{"input", folder() / "[gs]*.png"}, {"clean", folder() / "nothing"}},
                 "clean", "no such file");
  expect_refusal(pool, {{"input", folder() / "*/good.png"}, {"outputs", "new"}}, "outputs",
                 "two images good.png");
  expect_refusal(pool, {{"input", cut}}, "input", "ends early");
  expect_refusal(pool, {{"input", empty}}, "input", "empty");
  expect_refusal(pool, {{"input", CLEAVE_SOURCE_DIR "/data/SOURCES.md"}}, "input", "PNG");
  expect_refusal(pool, {{"input", good}, {"clean", small}}, "clean", "20 x 19 pixels");
  expect_refusal(pool, {{"input", good}, {"clean", cut}}, "clean", "ends early");
  expect_refusal(pool, {{"input", good}, {"output", "/nowhere/out.png"}}, "output", "/nowhere");
  expect_refusal(pool, {{"input", good}, {"output", "out.jpg"}}, "output", ".png");
  expect_refusal(pool, {{"input", good}, {"output", good}}, "output", "lost");
  for (const char* key : {"h", "sigma", "f", "r", "add_noise"})
    for (const char* bad : {"-1", "nan", "1e9", "x"})
      expect_refusal(pool, {{"input", good}, {key, bad}}, key, "must be");
  expect_refusal(pool, {{"input", good}, {"h", "0"}}, "h", "must be");
}

} // namespace
} // namespace cleave
