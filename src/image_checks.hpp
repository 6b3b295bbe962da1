/// @file
/// What the formats of image files have in common: opening, refusing, and publishing.
#pragma once

#include "cleave/data.hpp"
#include "new_file.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace cleave {

/// @throws Error bad_input with the file as its place
[[noreturn]] void refuse_image(const std::filesystem::path& file, const std::string& message);

/// @throws Error io with the file as its place
[[noreturn]] void fail_to_write_image(const std::filesystem::path& file, const std::string& reason);

struct CloseImageFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using ImageFile = std::unique_ptr<std::FILE, CloseImageFile>;

/// A file at its beginning, and the first of its bytes: eight, or all of a shorter one.
struct OpenedImage {
  ImageFile file;
  std::string start;
};

/// @param kind what the file should be, for the message: "a PNG image"
/// @throws Error bad_input when missing, empty or no regular file
OpenedImage open_image(const std::filesystem::path& file, const std::string& kind);

/// "640 x 480 pixels"
std::string pixels_text(const ImageHeader& header);

/// Half of this machine's memory: what an image may take at most. Bytes.
double memory_for_images();

/// A header may claim any size: one that this machine cannot hold is refused before memory is
/// taken. @throws Error bad_input
void refuse_image_beyond_memory(const ImageHeader& header, const std::filesystem::path& file);

/// A file that is shorter than its pixels packed at best is refused before memory is taken.
/// @param least bytes @param kind "PNG" @throws Error bad_input
void refuse_image_too_short(const ImageHeader& header, double least,
                            const std::filesystem::path& file, const std::string& kind);

/// Refuses what no format can write: sizes beyond 2^31 - 1, samples that do not fill the image.
/// @throws Error bad_input
void require_whole_image(const Image& image, const std::filesystem::path& file);

/// Gives a file that is written its own name. @throws Error io
void publish_image(NewFile& temporary, const std::filesystem::path& file);

} // namespace cleave
