/// In place of tiff.cpp where libtiff was not found.
#include "image_checks.hpp"
#include "tiff.hpp"

namespace cleave {
namespace {

[[noreturn]] void refuse_tiff(const std::filesystem::path& file) {
  refuse_image(file, "is a TIFF image, and this build has no TIFF: libtiff was not found");
}

} // namespace

bool tiff_is_built() {
  return false;
}

ImageHeader read_tiff_header(const std::filesystem::path& file) {
  refuse_tiff(file);
}

Image read_tiff(const std::filesystem::path& file) {
  refuse_tiff(file);
}

void write_tiff(const std::filesystem::path& file, const Image&) {
  refuse_tiff(file);
}

} // namespace cleave
