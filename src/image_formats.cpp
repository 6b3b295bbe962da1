/// Which format an image file has: by its first bytes where it is read, by its suffix where it is
/// written.
#include "cleave/data.hpp"
#include "image_checks.hpp"
#include "tiff.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace cleave {
namespace {

using namespace std::string_view_literals;

enum class ImageFormat { png, tiff, none };

bool starts_as_tiff(std::string_view start) {
  return start.starts_with("II*\0"sv) || start.starts_with("MM\0*"sv) ||
         start.starts_with("II+\0"sv) || start.starts_with("MM\0+"sv); // + for BigTIFF
}

ImageFormat format_of_content(const std::filesystem::path& file) {
  const std::string start = open_image(file, "an image").start;
  if ("\x89PNG\r\n\x1a\n"sv.starts_with(start))
    return ImageFormat::png;
  if (!starts_as_tiff(start))
    refuse_image(file, "is neither a PNG nor a TIFF image");
  return ImageFormat::tiff;
}

ImageFormat format_of_name(const std::filesystem::path& file) {
  std::string suffix = file.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  if (suffix == ".png")
    return ImageFormat::png;
  return tiff_is_built() && (suffix == ".tif" || suffix == ".tiff") ? ImageFormat::tiff
                                                                    : ImageFormat::none;
}

} // namespace

std::string image_formats() {
  return tiff_is_built() ? "PNG or TIFF" : "PNG (this build has no TIFF: libtiff was not found)";
}

bool is_image_name(const std::filesystem::path& file) {
  return format_of_name(file) != ImageFormat::none;
}

ImageHeader read_image_header(const std::filesystem::path& file) {
  return format_of_content(file) == ImageFormat::png ? read_png_header(file)
                                                     : read_tiff_header(file);
}

Image read_image(const std::filesystem::path& file) {
  return format_of_content(file) == ImageFormat::png ? read_png(file) : read_tiff(file);
}

void write_image(const std::filesystem::path& file, const Image& image) {
  switch (format_of_name(file)) {
  case ImageFormat::png:
    return write_png(file, image);
  case ImageFormat::tiff:
    return write_tiff(file, image);
  case ImageFormat::none:
    refuse_image(file, "cannot be written: its suffix (.png, .tif or .tiff) says the format, " +
                           image_formats());
  }
}

} // namespace cleave
