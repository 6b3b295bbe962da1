#include "jobs/photographs.hpp"

#include "cleave/error.hpp"
#include "cleave/pool.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <string>

namespace cleave {
namespace {

namespace fs = std::filesystem;

std::string form_of(const ImageHeader& header) {
  return std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels of " +
         std::to_string(header.channels) + " channels and " + std::to_string(header.bits) + " bits";
}

/// The images of a folder, by name.
std::vector<fs::path> images_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_image_name(entry.path()))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

/// What a shell would make of the pattern.
std::vector<fs::path> matches(const fs::path& pattern) {
  glob_t found{};
  std::vector<fs::path> files;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return files;
}

bool is_pattern(const fs::path& path) {
  return path.native().find_first_of("*?[") != std::string::npos;
}

bool names_several(const fs::path& input) {
  return fs::is_directory(input) || (!fs::exists(input) && is_pattern(input));
}

std::vector<fs::path> files_of(const Values& values) {
  const fs::path input = values.file("input");
  if (!names_several(input))
    return {input};
  std::vector<fs::path> files = fs::is_directory(input) ? images_in(input) : matches(input);
  if (files.empty())
    throw values.error("input", input.string() + (fs::is_directory(input)
                                                      ? " has no images, " + image_formats()
                                                      : " matches no file"));
  return files;
}

/// Refuses two images that would be written under one name.
void refuse_same_names(const Values& values, const std::vector<fs::path>& files) {
  std::map<fs::path, fs::path> seen;
  for (const fs::path& file : files)
    if (const auto [other, fresh] = seen.emplace(file.filename(), file); !fresh)
      throw values.error("outputs", "would get two images " + file.filename().string() + ": from " +
                                        other->second.string() + " and " + file.string());
}

void accept_outputs(const Values& values, const std::vector<fs::path>& files) {
  const fs::path folder = values.file("outputs");
  const auto refuse = [&](const std::string& why) {
    throw values.error("outputs", folder.string() + why);
  };
  if (fs::exists(folder) && !fs::is_directory(folder))
    refuse(" must be a directory");
  if (fs::exists(folder) && !fs::is_empty(folder))
    refuse(" is not empty; name another directory, which need not exist");
  const fs::path parent =
      fs::exists(folder) ? folder : (folder.has_parent_path() ? folder.parent_path() : ".");
  if (!fs::is_directory(parent))
    refuse(": there is no directory " + parent.string());
  if (access(parent.c_str(), W_OK | X_OK) != 0)
    refuse(": the directory " + parent.string() + " cannot be written to");
  refuse_same_names(values, files);
  for (const fs::path& file : files)
    if (!is_image_name(file))
      refuse(": " + file.filename().string() + " names no format; it " + name_rule());
}

void accept_output(const Values& values) {
  const fs::path output = values.file("output");
  const auto refuse = [&](const std::string& why) { throw values.error("output", why); };
  if (names_several(values.file("input")))
    refuse("is the name of one image, but the input names several; give outputs=DIRECTORY");
  if (!is_image_name(output))
    refuse(output.string() + " " + name_rule());
  if (fs::is_directory(output))
    refuse(output.string() + " is a directory");
  const fs::path folder = output.has_parent_path() ? output.parent_path() : ".";
  if (!fs::is_directory(folder))
    refuse("there is no directory " + folder.string());
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    refuse("the directory " + folder.string() + " cannot be written to");
  std::error_code none;
  for (const char* input : {"input", "clean"})
    if (fs::equivalent(output, values.file(input), none))
      refuse(output.string() + " is the file of '" + input + "', which would be lost");
}

/// Refuses what this machine cannot hold, before memory is taken.
void refuse_beyond_memory(const Values& values, const std::vector<ImageHeader>& headers,
                          double copies) {
  double samples = 0;
  for (const ImageHeader& header : headers)
    samples += static_cast<double>(sample_count(header));
  const double needed = samples * sizeof(std::uint16_t) * copies;
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  if (needed > memory / 2)
    throw values.error("input", "its " + std::to_string(headers.size()) + " images take " +
                                    std::to_string(std::llround(needed / 1e6)) +
                                    " MB with their answers: more than half of this machine's "
                                    "memory (" +
                                    std::to_string(std::llround(memory / 1e6)) +
                                    " MB); take fewer at once");
}

/// Calls read(), an Error of which becomes one about the parameter.
template <class Read>
auto about(const Values& values, const char* parameter, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw values.error(parameter, error.what());
  }
}

void append(std::vector<std::uint16_t>& all, const Image& image) {
  all.insert(all.end(), image.samples.begin(), image.samples.end());
}

/// Where the clean image of `file` is.
fs::path clean_of(const Values& values, const fs::path& file) {
  const fs::path clean = values.file("clean");
  return fs::is_directory(clean) ? clean / file.filename() : clean;
}

void read_clean(const Values& values, Photographs& all) {
  if (all.count() > 1 && !fs::is_directory(values.file("clean")))
    throw values.error("clean", "must be a directory with an image of each input's name");
  for (std::size_t i = 0; i < all.count(); ++i) {
    const Image image =
        about(values, "clean", [&] { return read_image(clean_of(values, all.files[i])); });
    const ImageHeader header{image.width, image.height, image.channels, image.bits};
    if (form_of(header) != form_of(all.headers[i]))
      throw values.error("clean", "must be like the input, " + form_of(all.headers[i]) +
                                      ", but has " + form_of(header));
    append(all.clean, image);
  }
}

std::uint16_t round_half_up(double sample) {
  return static_cast<std::uint16_t>(std::floor(sample + 0.5));
}

/// Adds Gaussian noise to the colours, each row of each image from a stream of its own (Box and
/// Muller, 1958, doi:10.1214/aoms/1177706645).
void add_noise(Photographs& all, double deviation, std::uint64_t seed) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < all.count(); ++i) {
    const ImageHeader& header = all.headers[i];
    const double full = header.bits == 16 ? 65'535 : 255;
    const int colours = header.channels < 3 ? 1 : 3;
    for (std::int64_t y = 0; y < header.height; ++y) {
      RandomStream random(seed, static_cast<std::uint32_t>(i), static_cast<std::uint64_t>(y));
      for (std::int64_t x = 0; x < header.width;
           ++x, at += static_cast<std::size_t>(header.channels))
        for (int c = 0; c < colours; ++c) {
          std::uint16_t& sample = all.samples[at + static_cast<std::size_t>(c)];
          const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
          const double normal = radius * std::cos(2 * std::numbers::pi * random.uniform());
          sample = round_half_up(std::clamp(sample + normal * deviation * full, 0.0, full));
        }
    }
  }
}

} // namespace

std::string name_rule() {
  return "must end in .png, .tif or .tiff: images are written as " + image_formats();
}

std::int64_t sample_count(const ImageHeader& header) noexcept {
  return header.width * header.height * header.channels;
}

std::span<const std::uint16_t> samples_of(const std::vector<ImageHeader>& headers,
                                          std::span<const std::uint16_t> all,
                                          std::size_t index) noexcept {
  const auto sum = [](std::int64_t samples, const ImageHeader& header) {
    return samples + sample_count(header);
  };
  const auto here = headers.begin() + static_cast<std::ptrdiff_t>(index);
  const std::int64_t first = std::accumulate(headers.begin(), here, std::int64_t{0}, sum);
  return all.subspan(static_cast<std::size_t>(first),
                     static_cast<std::size_t>(sample_count(*here)));
}

std::vector<fs::path> photograph_files(const Values& values) {
  std::vector<fs::path> files = files_of(values);
  if (!values.file("clean").empty())
    for (std::size_t i = 0, count = files.size(); i < count; ++i)
      files.push_back(clean_of(values, files[i]));
  return files;
}

Photographs read_photographs(const Values& values) {
  Photographs all{.files = files_of(values), .headers = {}, .samples = {}, .clean = {}};
  if (!values.file("output").empty())
    accept_output(values);
  if (!values.file("outputs").empty())
    accept_outputs(values, all.files);
  const double noise = values.real("add_noise");
  const bool has_clean = !values.file("clean").empty();
  for (const fs::path& file : all.files)
    all.headers.push_back(about(values, "input", [&] { return read_image_header(file); }));
  refuse_beyond_memory(values, all.headers, has_clean || noise > 0 ? 3 : 2);
  for (const fs::path& file : all.files)
    append(all.samples, about(values, "input", [&] { return read_image(file); }));
  if (has_clean)
    read_clean(values, all);
  else if (noise > 0)
    all.clean = all.samples;
  if (noise > 0)
    add_noise(all, noise, static_cast<std::uint64_t>(values.integer("noise_seed")));
  return all;
}

} // namespace cleave
