/// @file
/// The images of one denoise job: one file, all of a folder, or those that a pattern names. Root's.
#pragma once

#include "cleave/data.hpp"
#include "cleave/workload.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// Images in memory, the samples of one after those of the other.
struct Photographs {
  std::vector<std::filesystem::path> files;
  std::vector<ImageHeader> headers;
  std::vector<std::uint16_t> samples; ///< noise included
  std::vector<std::uint16_t> clean;   ///< what answers are compared with; empty: nothing is

  [[nodiscard]] std::size_t count() const noexcept { return headers.size(); }
};

/// What an image's name must be like, for messages: "must end in ...".
[[nodiscard]] std::string name_rule();

/// Samples of an image. Local.
[[nodiscard]] std::int64_t sample_count(const ImageHeader& header) noexcept;

/// The part of all images' samples that is image `index`'s. Local.
[[nodiscard]] std::span<const std::uint16_t> samples_of(const std::vector<ImageHeader>& headers,
                                                        std::span<const std::uint16_t> all,
                                                        std::size_t index) noexcept;

/// The files of the parameters input and clean, whether they exist or not. Root.
/// @throws Error bad_input where there are none
[[nodiscard]] std::vector<std::filesystem::path> photograph_files(const Values& values);

/// Reads the parameters input, clean, add_noise and noise_seed, and refuses an `output` or
/// `outputs` that could not be written after the work, or would replace an input. Root.
/// @throws Error bad_input
[[nodiscard]] Photographs read_photographs(const Values& values);

} // namespace cleave
