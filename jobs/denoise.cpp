/// Removes noise from a photograph by non-local means: row bands with their halo are scattered,
/// filtered and gathered. The file to copy for a workload on images or grids.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "cleave/pool.hpp"
#include "cleave/workload.hpp"
#include "jobs/non_local_means.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <sstream>

namespace cleave {
namespace {

/// What root holds; empty on the other ranks.
struct Pictures {
  Image input;                ///< noise included
  std::optional<Image> clean; ///< what the answer is compared with
};

std::uint16_t round_half_up(double sample) {
  return static_cast<std::uint16_t>(std::floor(sample + 0.5));
}

/// The peak signal-to-noise ratio over the colours, in dB; infinite for equal images.
double psnr(const Image& image, const Image& clean) {
  double squares = 0;
  double count = 0;
  for (std::size_t i = 0; i < image.samples.size(); ++i) {
    if (static_cast<int>(i % static_cast<std::size_t>(image.channels)) >= image.colours())
      continue;
    const double gap = (static_cast<double>(image.samples[i]) - clean.samples[i]) / image.full();
    squares += gap * gap;
    count += 1;
  }
  return squares > 0 ? 10 * std::log10(count / squares) : std::numeric_limits<double>::infinity();
}

/// Adds Gaussian noise to the colours, each row from a stream of its own (Box and Muller, 1958,
/// doi:10.1214/aoms/1177706645).
void add_noise(Image& image, double deviation, std::uint64_t seed) {
  std::size_t at = 0;
  for (std::int64_t y = 0; y < image.height; ++y) {
    RandomStream random(seed, 0, static_cast<std::uint64_t>(y));
    for (std::int64_t x = 0; x < image.width; ++x, at += static_cast<std::size_t>(image.channels))
      for (std::size_t c = 0; c < static_cast<std::size_t>(image.colours()); ++c) {
        const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
        const double normal = radius * std::cos(2 * std::numbers::pi * random.uniform());
        const double noisy = image.samples[at + c] + normal * deviation * image.full();
        image.samples[at + c] =
            round_half_up(std::clamp(noisy, 0.0, static_cast<double>(image.full())));
      }
  }
}

bool is_png(const std::filesystem::path& file) {
  return file.extension() == ".png" || file.extension() == ".PNG";
}

/// Non-local means of one image. A task is a row.
class Denoise : public Job {
public:
  Denoise(const ImageHeader& whole, const nlm::Settings& settings, Pictures pictures,
          std::filesystem::path output)
      : whole_(whole), settings_(settings), pictures_(std::move(pictures)),
        output_(std::move(output)) {}

  [[nodiscard]] std::int64_t tasks() const override { return whole_.height; }
  [[nodiscard]] std::int64_t leaves() const override { return row_leaves().count(); }
  [[nodiscard]] double work() const override {
    return static_cast<double>(whole_.width) * static_cast<double>(whole_.height);
  }
  [[nodiscard]] std::string unit() const override { return "pixels"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override { return {"Mpixel/s", 1e-6}; }
  [[nodiscard]] double memory_bytes() const override {
    const int images = pictures_.clean ? 3 : 2;
    return work() * whole_.channels * sizeof(std::uint16_t) * images;
  }

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override;
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(answer_.samples));
  }
  [[nodiscard]] Summary summary() const override;
  void write_outputs() override {
    if (!output_.empty())
      write_png(output_, answer_);
  }
  void write_result(const std::filesystem::path& file) const override { write_png(file, answer_); }
  void accept_result(const std::filesystem::path& file) const override {
    if (!is_png(file))
      throw Error(ErrorKind::bad_input, "the answer is an image: its name must end in .png",
                  {file.string(), 0, {}});
  }

private:
  /// Rows in a leaf, by the image alone: many enough that the rows that neighbouring leaves both
  /// look at cost little, few enough that workers find leaves.
  [[nodiscard]] std::int64_t grain() const {
    return std::clamp<std::int64_t>(whole_.height / 16, 4, 32);
  }
  [[nodiscard]] Leaves row_leaves() const { return Leaves(tasks(), grain(), tasks()); }
  [[nodiscard]] std::vector<std::int64_t> pixels_to_check() const;
  [[nodiscard]] bool right(std::int64_t pixel) const;

  ImageHeader whole_;
  nlm::Settings settings_;
  Pictures pictures_;
  std::filesystem::path output_;
  Image answer_;
};

/// Memory of one worker.
struct Workspace {
  nlm::Scratch scratch;
  std::vector<double> values;
};

void Denoise::run(Pool& pool) {
  const std::int64_t width = whole_.width * whole_.channels;
  const BandShape shape{.rows = whole_.height,
                        .in_width = width,
                        .out_width = width,
                        .halo = settings_.r + settings_.f,
                        .grain = grain()};
  answer_ = {whole_.width, whole_.height, whole_.channels, whole_.bits, {}};
  answer_.samples = pool.map_bands<std::uint16_t>(
      [whole = whole_, settings = settings_](TaskRange rows, TaskRange in_rows,
                                             std::span<const std::uint16_t> in,
                                             std::span<std::uint16_t> out, Worker& worker) {
        auto& [scratch, values] = worker.local<Workspace>();
        values.resize(out.size());
        nlm::filter_rows({whole, settings, rows, in_rows, in, values}, scratch);
        std::transform(values.begin(), values.end(), out.begin(), round_half_up);
      },
      pictures_.input.samples, shape);
}

/// All pixels of a small image. Of a larger one its corners and pixels drawn from the first and
/// last rows of leaves, where a wrong halo would show: as many as the definition does in about 0.1
/// s.
std::vector<std::int64_t> Denoise::pixels_to_check() const {
  const double differences =
      (2.0 * settings_.f + 1) * (2.0 * settings_.f + 1) * pictures_.input.colours();
  const double weights = (2.0 * settings_.r + 1) * (2.0 * settings_.r + 1);
  const auto count =
      static_cast<std::int64_t>(std::max(64.0, 3e7 / (weights * (differences + 20))));
  const std::int64_t all = whole_.width * whole_.height;
  std::vector<std::int64_t> pixels;
  if (all <= count) {
    for (std::int64_t i = 0; i < all; ++i)
      pixels.push_back(i);
    return pixels;
  }
  pixels = {0, whole_.width - 1, all - whole_.width, all - 1};
  const Leaves leaves = row_leaves();
  RandomStream random(0, 0, 0);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  while (static_cast<std::int64_t>(pixels.size()) < count) {
    const TaskRange rows = leaves.tasks_of(below(leaves.count()));
    pixels.push_back((below(2) == 0 ? rows.first : rows.last - 1) * whole_.width +
                     below(whole_.width));
  }
  return pixels;
}

/// Whether the answer at a pixel is the definition's value, rounded; either neighbour of a tie.
bool Denoise::right(std::int64_t pixel) const {
  std::array<double, 4> defined{};
  nlm::define_pixel(pictures_.input, settings_, pixel / whole_.width, pixel % whole_.width,
                    defined);
  const std::uint16_t* samples =
      &answer_.samples[static_cast<std::size_t>(pixel) * static_cast<std::size_t>(whole_.channels)];
  for (int c = 0; c < whole_.channels; ++c)
    if (std::abs(samples[c] - defined[static_cast<std::size_t>(c)]) > 0.5 + 1e-9)
      return false;
  return true;
}

Verdict Denoise::check() {
  if (answer_.samples.size() != pictures_.input.samples.size())
    return {Verify::failed, "the answer is not of the input's size"};
  const std::vector<std::int64_t> pixels = pixels_to_check();
  const auto wrong =
      std::find_if(pixels.begin(), pixels.end(), [&](std::int64_t i) { return !right(i); });
  std::ostringstream how;
  if (wrong != pixels.end()) {
    how << "the pixel in row " << *wrong / whole_.width << ", column " << *wrong % whole_.width
        << " is not what the definition gives";
    return {Verify::failed, how.str()};
  }
  how << pixels.size() << " pixels equal the plain definition";
  if (!pictures_.clean)
    return {Verify::ok, how.str()};
  const double before = psnr(pictures_.input, *pictures_.clean);
  const double after = psnr(answer_, *pictures_.clean);
  how.precision(2);
  how << std::fixed << "; PSNR " << before << " dB before, " << after << " dB after";
  const bool worse = std::isfinite(before) && !(after >= before);
  if (worse)
    how << ": worse, h does not suit the noise";
  return {worse ? Verify::failed : Verify::ok, how.str()};
}

Summary Denoise::summary() const {
  Summary facts;
  if (pictures_.clean)
    if (const double ratio = psnr(answer_, *pictures_.clean); std::isfinite(ratio))
      facts.push_back({"psnr", ratio});
  if (!output_.empty())
    facts.push_back({"output", output_.string()});
  return facts;
}

Image read_image(const Values& values, const std::string& parameter) {
  try {
    return read_png(values.file(parameter));
  } catch (const Error& error) {
    throw values.error(parameter, error.what());
  }
}

/// Refuses an output that could not be written after the work, or that would replace an input.
void accept_output(const Values& values) {
  const std::filesystem::path output = values.file("output");
  if (output.empty())
    return;
  const auto refuse = [&](const std::string& why) { throw values.error("output", why); };
  if (!is_png(output))
    refuse(output.string() + " must end in .png");
  if (std::filesystem::is_directory(output))
    refuse(output.string() + " is a directory");
  const auto folder = output.has_parent_path() ? output.parent_path() : ".";
  if (!std::filesystem::is_directory(folder))
    refuse("there is no directory " + folder.string());
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    refuse("the directory " + folder.string() + " cannot be written to");
  std::error_code none;
  for (const char* input : {"input", "clean"})
    if (std::filesystem::equivalent(output, values.file(input), none))
      refuse(output.string() + " is the file of '" + input + "', which would be lost");
}

Pictures read_pictures(const Values& values) {
  accept_output(values);
  Pictures pictures{read_image(values, "input"), std::nullopt};
  const double noise = values.real("add_noise");
  if (!values.file("clean").empty())
    pictures.clean = read_image(values, "clean");
  else if (noise > 0)
    pictures.clean = pictures.input;
  const Image& input = pictures.input;
  const auto form = [](const Image& image) {
    return std::to_string(image.width) + " x " + std::to_string(image.height) + " pixels of " +
           std::to_string(image.channels) + " channels and " + std::to_string(image.bits) + " bits";
  };
  if (pictures.clean && form(*pictures.clean) != form(input))
    throw values.error("clean", "must be like the input, " + form(input) + ", but has " +
                                    form(*pictures.clean));
  if (noise > 0)
    add_noise(pictures.input, noise, static_cast<std::uint64_t>(values.integer("noise_seed")));
  return pictures;
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool) {
  Pictures pictures;
  const auto whole = pool.from_root([&] {
    pictures = read_pictures(values);
    const Image& input = pictures.input;
    return ImageHeader{input.width, input.height, input.channels, input.bits};
  });
  const nlm::Settings settings{.f = static_cast<int>(values.integer("f")),
                               .r = static_cast<int>(values.integer("r")),
                               .h = values.real("h"),
                               .sigma = values.real("sigma")};
  return std::make_unique<Denoise>(whole, settings, std::move(pictures),
                                   values.file("output").lexically_normal());
}

Parameter image_file(const char* name, ParameterType type, bool required, const char* summary) {
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
      image_file("input", input_file, true, "PNG image to remove noise from"),
      image_file("output", output_file, false,
                 "PNG image to write, of the input's depth; --force replaces one; empty: none"),
      image_file("clean", input_file, false,
                 "PNG image without the noise: the PSNR against it must not fall; empty: none"),
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
  return {"denoise", "noise removed from a photograph by non-local means", cleave::parameters(),
          cleave::prepare};
}
