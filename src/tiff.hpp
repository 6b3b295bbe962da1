/// @file
/// TIFF files to images and back; read_image and write_image are their face.
#pragma once

#include "cleave/data.hpp"

#include <filesystem>

namespace cleave {

/// Whether this build has libtiff; without it the functions below refuse every file.
bool tiff_is_built();

/// @throws Error bad_input for what is damaged or of a kind that Image cannot hold
ImageHeader read_tiff_header(const std::filesystem::path& file);
/// @throws Error bad_input as read_tiff_header, and for what does not fit into memory
Image read_tiff(const std::filesystem::path& file);
/// As write_png. @throws Error io, bad_input
void write_tiff(const std::filesystem::path& file, const Image& image);

} // namespace cleave
