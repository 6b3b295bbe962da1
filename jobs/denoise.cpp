/// Removes noise from photographs by non-local means: row bands with their halo are scattered,
/// filtered and gathered. The file to copy for a workload on images or grids.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/non_local_means.hpp"
#include "jobs/photographs.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>

namespace cleave {
namespace {

std::uint16_t round_half_up(double sample) {
  return static_cast<std::uint16_t>(std::floor(sample + 0.5));
}

/// The sum of squares of what the colours of two images differ by, in shares of the full range.
struct Gap {
  double squares = 0;
  double count = 0;

  void add(const ImageHeader& header, std::span<const std::uint16_t> image,
           std::span<const std::uint16_t> clean) {
    const auto channels = static_cast<std::size_t>(header.channels);
    const std::size_t colours = channels < 3 ? 1 : 3;
    const double full = header.bits == 16 ? 65'535 : 255;
    for (std::size_t i = 0; i < image.size(); ++i) {
      if (i % channels >= colours)
        continue;
      const double gap = (static_cast<double>(image[i]) - clean[i]) / full;
      squares += gap * gap;
      count += 1;
    }
  }
  /// The peak signal-to-noise ratio, in dB; infinite for equal images.
  [[nodiscard]] double psnr() const {
    return squares > 0 ? 10 * std::log10(count / squares) : std::numeric_limits<double>::infinity();
  }
};

/// Rows in a band, by the image alone: many enough that the rows that neighbouring bands both look
/// at cost little, few enough that workers find bands.
std::int64_t grain(const ImageHeader& header) {
  return std::clamp<std::int64_t>(header.height / 16, 4, 32);
}

Leaves bands_of(const ImageHeader& header) {
  return Leaves(header.height, grain(header), header.height);
}

/// Non-local means of one or several images. A task is a band of rows.
class Denoise : public Job {
public:
  Denoise(std::vector<ImageHeader> headers, const nlm::Settings& settings, Photographs given,
          std::filesystem::path output, std::filesystem::path outputs)
      : headers_(std::move(headers)), settings_(settings), given_(std::move(given)),
        output_(std::move(output)), outputs_(std::move(outputs)) {}

  [[nodiscard]] std::int64_t tasks() const override {
    std::int64_t bands = 0;
    for (const ImageHeader& header : headers_)
      bands += bands_of(header).count();
    return bands;
  }
  [[nodiscard]] double work() const override {
    double pixels = 0;
    for (const ImageHeader& header : headers_)
      pixels += static_cast<double>(header.width) * static_cast<double>(header.height);
    return pixels;
  }
  [[nodiscard]] std::string unit() const override { return "pixels"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override { return {"Mpixel/s", 1e-6}; }
  [[nodiscard]] double memory_bytes() const override {
    double samples = 0;
    for (const ImageHeader& header : headers_)
      samples += static_cast<double>(sample_count(header));
    return samples * sizeof(std::uint16_t) * (given_.clean.empty() ? 2 : 3);
  }

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override;
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(answers_));
  }
  [[nodiscard]] Summary summary() const override;
  [[nodiscard]] std::vector<std::string> details() const override;
  void write_outputs() override;
  void write_result(const std::filesystem::path& file) const override;
  void accept_result(const std::filesystem::path& file) const override;

private:
  [[nodiscard]] Image answer(std::size_t image) const;
  [[nodiscard]] std::vector<std::int64_t> pixels_to_check(const ImageHeader& header) const;
  [[nodiscard]] std::int64_t wrong_pixel(std::size_t image,
                                         const std::vector<std::int64_t>& pixels) const;
  [[nodiscard]] std::optional<double> psnr(std::size_t image,
                                           const std::vector<std::uint16_t>& samples) const;
  [[nodiscard]] Verdict compare(const std::string& how) const;

  std::vector<ImageHeader> headers_;
  nlm::Settings settings_;
  Photographs given_; // root
  std::filesystem::path output_;
  std::filesystem::path outputs_;
  std::vector<std::uint16_t> answers_; // root
};

Image make_image(const ImageHeader& header, std::span<const std::uint16_t> samples) {
  return {
      header.width, header.height, header.channels, header.bits, {samples.begin(), samples.end()}};
}

Image Denoise::answer(std::size_t image) const {
  return make_image(headers_[image], samples_of(headers_, answers_, image));
}

/// Memory of one worker.
struct Workspace {
  nlm::Scratch scratch;
  std::vector<double> values;
};

void Denoise::run(Pool& pool) {
  std::vector<BandShape> shapes;
  for (const ImageHeader& header : headers_)
    shapes.push_back({.rows = header.height,
                      .in_width = header.width * header.channels,
                      .out_width = header.width * header.channels,
                      .halo = settings_.r + settings_.f,
                      .grain = grain(header)});
  answers_.clear();
  answers_ = pool.map_bands<std::uint16_t>(
      [this](std::int64_t image, TaskRange rows, TaskRange in_rows,
             std::span<const std::uint16_t> in, std::span<std::uint16_t> out, Worker& worker) {
        auto& [scratch, values] = worker.local<Workspace>();
        values.resize(out.size());
        nlm::filter_rows(
            {headers_[static_cast<std::size_t>(image)], settings_, rows, in_rows, in, values},
            scratch);
        std::transform(values.begin(), values.end(), out.begin(), round_half_up);
      },
      given_.samples, shapes);
}

/// All pixels of a small image. Of a larger one its corners and pixels drawn from the first and
/// last rows of bands, where a wrong halo would show: as many as the definition does in about 0.1
/// s, over all images.
std::vector<std::int64_t> Denoise::pixels_to_check(const ImageHeader& header) const {
  const double differences =
      (2.0 * settings_.f + 1) * (2.0 * settings_.f + 1) * (header.channels < 3 ? 1 : 3);
  const double weights = (2.0 * settings_.r + 1) * (2.0 * settings_.r + 1);
  const double share = 3e7 / (weights * (differences + 20)) / static_cast<double>(headers_.size());
  const double least = std::max(8.0, 64.0 / static_cast<double>(headers_.size()));
  const auto count = static_cast<std::int64_t>(std::max(least, share));
  const std::int64_t all = header.width * header.height;
  std::vector<std::int64_t> pixels;
  if (all <= count) {
    for (std::int64_t i = 0; i < all; ++i)
      pixels.push_back(i);
    return pixels;
  }
  pixels = {0, header.width - 1, all - header.width, all - 1};
  const Leaves bands = bands_of(header);
  RandomStream random(0, 0, 0);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  while (std::ssize(pixels) < count) {
    const TaskRange rows = bands.tasks_of(below(bands.count()));
    pixels.push_back((below(2) == 0 ? rows.first : rows.last - 1) * header.width +
                     below(header.width));
  }
  return pixels;
}

/// The first pixel whose answer is not the definition's value, rounded (either neighbour of a tie);
/// -1: none.
std::int64_t Denoise::wrong_pixel(std::size_t image,
                                  const std::vector<std::int64_t>& pixels) const {
  const ImageHeader& header = headers_[image];
  const Image input = make_image(header, samples_of(headers_, given_.samples, image));
  const std::span<const std::uint16_t> answer = samples_of(headers_, answers_, image);
  for (const std::int64_t pixel : pixels) {
    std::array<double, 4> defined{};
    nlm::define_pixel(input, settings_, pixel / header.width, pixel % header.width, defined);
    for (int c = 0; c < header.channels; ++c) {
      const std::uint16_t sample = answer[static_cast<std::size_t>(pixel * header.channels + c)];
      if (std::abs(sample - defined[static_cast<std::size_t>(c)]) > 0.5 + 1e-9)
        return pixel;
    }
  }
  return -1;
}

Verdict Denoise::check() {
  if (answers_.size() != given_.samples.size())
    return {Verify::failed, "the answer is not of the input's size"};
  std::size_t checked = 0;
  std::ostringstream how;
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    const std::vector<std::int64_t> pixels = pixels_to_check(headers_[i]);
    if (const std::int64_t wrong = wrong_pixel(i, pixels); wrong >= 0) {
      how << "the pixel in row " << wrong / headers_[i].width << ", column "
          << wrong % headers_[i].width;
      if (headers_.size() > 1)
        how << " of " << given_.files[i].filename().string();
      how << " is not what the definition gives";
      return {Verify::failed, how.str()};
    }
    checked += pixels.size();
  }
  how << checked << " pixels";
  if (headers_.size() > 1)
    how << " of " << headers_.size() << " images";
  how << " equal the plain definition";
  return given_.clean.empty() ? Verdict{Verify::ok, how.str()} : compare(how.str());
}

/// Against the clean image; nothing for equal ones.
std::optional<double> Denoise::psnr(std::size_t image,
                                    const std::vector<std::uint16_t>& samples) const {
  Gap gap;
  gap.add(headers_[image], samples_of(headers_, samples, image),
          samples_of(headers_, given_.clean, image));
  return gap.squares > 0 ? std::optional(gap.psnr()) : std::nullopt;
}

/// With the clean images: the PSNR of none may fall.
Verdict Denoise::compare(const std::string& equal) const {
  Gap before;
  Gap after;
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    before.add(headers_[i], samples_of(headers_, given_.samples, i),
               samples_of(headers_, given_.clean, i));
    after.add(headers_[i], samples_of(headers_, answers_, i),
              samples_of(headers_, given_.clean, i));
  }
  std::ostringstream how;
  how.precision(2);
  how << equal << std::fixed << "; PSNR " << before.psnr() << " dB before, " << after.psnr()
      << " dB after";
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    constexpr double equal_images = std::numeric_limits<double>::infinity();
    const std::optional<double> was = psnr(i, given_.samples);
    if (was && !(psnr(i, answers_).value_or(equal_images) >= *was)) {
      how << ": " << (headers_.size() > 1 ? given_.files[i].filename().string() + " became " : "")
          << "worse, h does not suit the noise";
      return {Verify::failed, how.str()};
    }
  }
  return {Verify::ok, how.str()};
}

Summary Denoise::summary() const {
  Summary facts;
  if (!given_.clean.empty() && !answers_.empty()) {
    Gap gap;
    for (std::size_t i = 0; i < headers_.size(); ++i)
      gap.add(headers_[i], samples_of(headers_, answers_, i),
              samples_of(headers_, given_.clean, i));
    if (std::isfinite(gap.psnr()))
      facts.push_back({"psnr", gap.psnr()});
  }
  if (headers_.size() > 1)
    facts.push_back({"images", static_cast<std::int64_t>(headers_.size())});
  if (!output_.empty())
    facts.push_back({"output", output_.string()});
  if (!outputs_.empty())
    facts.push_back({"outputs", outputs_.string()});
  return facts;
}

std::vector<std::string> Denoise::details() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < headers_.size() && !given_.clean.empty(); ++i) {
    std::ostringstream line;
    line.precision(2);
    line << std::fixed << given_.files[i].filename().string() << ": PSNR "
         << psnr(i, given_.samples).value_or(std::numeric_limits<double>::infinity())
         << " dB before, " << psnr(i, answers_).value_or(std::numeric_limits<double>::infinity())
         << " dB after";
    lines.push_back(line.str());
  }
  return lines;
}

void Denoise::write_outputs() {
  if (!output_.empty())
    write_image(output_, answer(0));
  if (outputs_.empty())
    return;
  std::error_code failure;
  std::filesystem::create_directory(outputs_, failure);
  if (failure)
    throw Error(ErrorKind::io, "cannot be made: " + failure.message(), {outputs_.string(), 0, {}});
  for (std::size_t i = 0; i < headers_.size(); ++i)
    write_image(outputs_ / given_.files[i].filename(), answer(i));
}

void Denoise::write_result(const std::filesystem::path& file) const {
  if (headers_.size() == 1)
    write_image(file, answer(0));
  else
    Job::write_result(file);
}

void Denoise::accept_result(const std::filesystem::path& file) const {
  if (headers_.size() > 1)
    Job::accept_result(file);
  else if (!is_image_name(file))
    throw Error(ErrorKind::bad_input, "the answer is an image: its name " + name_rule(),
                {file.string(), 0, {}});
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool) {
  Photographs given;
  std::vector<ImageHeader> headers = pool.from_root([&] {
    given = read_photographs(values);
    return given.headers;
  });
  const nlm::Settings settings{.f = static_cast<int>(values.integer("f")),
                               .r = static_cast<int>(values.integer("r")),
                               .h = values.real("h"),
                               .sigma = values.real("sigma")};
  return std::make_unique<Denoise>(std::move(headers), settings, std::move(given),
                                   values.file("output").lexically_normal(),
                                   values.file("outputs").lexically_normal());
}

Parameter image_file(const char* name, ParameterType type, bool required,
                     const std::string& summary) {
  Parameter parameter;
  parameter.name = name;
  parameter.summary = summary;
  parameter.type = type;
  parameter.required = required;
  return parameter;
}

Parameter number(const char* name, ParameterType type, const char* default_value, const char* unit,
                 double minimum, double maximum, const char* summary) {
  Parameter parameter;
  parameter.name = name;
  parameter.summary = summary;
  parameter.type = type;
  parameter.default_value = default_value;
  parameter.unit = unit;
  parameter.minimum = minimum;
  parameter.maximum = maximum;
  return parameter;
}

std::vector<Parameter> parameters() {
  using enum ParameterType;
  const char* const range = "full range";
  return {
      image_file(
          "input", input_file, true,
          "image to remove noise from, a directory of them, or a pattern in quotes: *.png; " +
              image_formats()),
      image_file("output", output_file, false,
                 "image to write, of the input's depth; --force replaces one; empty: none"),
      image_file("outputs", text, false,
                 "directory to write images of the inputs' names to, new or empty; empty: none"),
      image_file("clean", input_file, false,
                 "image without the noise, or a directory of them by the inputs' names: the PSNR "
                 "against it must not fall; empty: none"),
      number("f", integer, "2", "pixels", 0, 10, "radius of the patches that are compared"),
      number("r", integer, "6", "pixels", 0, 50, "radius of the search"),
      number("h", real, "0.064", range, 1e-4, 1e4, "filter strength; 0.8 sigma is a good start"),
      number("sigma", real, "0.08", range, 0, 1, "standard deviation of the noise in the image"),
      number("add_noise", real, "0", range, 0, 1,
             "standard deviation of noise to add first; `clean` is then the input unless given"),
      number("noise_seed", integer, "0", "", 0, 0x1p62, "another number, other noise"),
  };
}

} // namespace
} // namespace cleave

cleave::Workload denoise_workload() {
  return {.name = "denoise",
          .summary = "noise removed from photographs by non-local means",
          .parameters = cleave::parameters(),
          .prepare = cleave::prepare,
          .inputs = cleave::photograph_files};
}
