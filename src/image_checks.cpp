#include "image_checks.hpp"

#include "cleave/error.hpp"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

namespace cleave {
namespace {

double memory_of_this_machine() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

} // namespace

void refuse_image(const std::filesystem::path& file, const std::string& message) {
  throw Error(ErrorKind::bad_input, message, {file.string(), 0, {}});
}

void fail_to_write_image(const std::filesystem::path& file, const std::string& reason) {
  throw Error(ErrorKind::io, "cannot write the image: " + reason, {file.string(), 0, {}});
}

OpenedImage open_image(const std::filesystem::path& file, const std::string& kind) {
  std::error_code failure;
  const auto status = std::filesystem::status(file, failure);
  if (!std::filesystem::exists(status))
    refuse_image(file, "there is no such file");
  if (!std::filesystem::is_regular_file(status))
    refuse_image(file, std::filesystem::is_directory(status) ? "is a directory, not " + kind
                                                             : "is not a regular file");
  ImageFile opened(std::fopen(file.c_str(), "rb"));
  if (!opened)
    refuse_image(file, std::string("cannot be opened: ") + std::strerror(errno));
  std::string start(8, '\0');
  start.resize(std::fread(start.data(), 1, start.size(), opened.get()));
  if (start.empty())
    refuse_image(file, "is empty, not " + kind);
  std::rewind(opened.get());
  return {std::move(opened), std::move(start)};
}

std::string pixels_text(const ImageHeader& header) {
  return std::to_string(header.width) + " x " + std::to_string(header.height) + " pixels";
}

double memory_for_images() {
  return memory_of_this_machine() / 2;
}

void refuse_image_beyond_memory(const ImageHeader& header, const std::filesystem::path& file) {
  const double needed = 2.0 * static_cast<double>(header.width) *
                        static_cast<double>(header.height) * header.channels;
  if (needed > memory_for_images())
    refuse_image(file, "has " + pixels_text(header) + ", " +
                           std::to_string(std::llround(needed / 1e6)) +
                           " MB: more than half of this machine's memory (" +
                           std::to_string(std::llround(memory_of_this_machine() / 1e6)) + " MB)");
}

void refuse_image_too_short(const ImageHeader& header, double least,
                            const std::filesystem::path& file, const std::string& kind) {
  std::error_code failure;
  const auto bytes = std::filesystem::file_size(file, failure);
  if (!failure && least > static_cast<double>(bytes))
    refuse_image(file, "is a damaged " + kind + " image: too short for " + pixels_text(header));
}

void require_whole_image(const Image& image, const std::filesystem::path& file) {
  constexpr std::int64_t longest = std::numeric_limits<std::int32_t>::max();
  const bool sound =
      image.width > 0 && image.height > 0 && image.channels >= 1 && image.channels <= 4 &&
      (image.bits == 8 || image.bits == 16) && image.width <= longest && image.height <= longest &&
      static_cast<double>(image.samples.size()) ==
          static_cast<double>(image.width) * static_cast<double>(image.height) * image.channels;
  if (!sound)
    refuse_image(file,
                 "cannot be written: the image is not whole, of 1 to 4 channels and 8 or 16 bits");
}

void publish_image(NewFile& temporary, const std::filesystem::path& file) {
  try {
    temporary.sync();
    temporary.replace();
  } catch (const FileFailure& failure) {
    fail_to_write_image(file, failure.what());
  }
}

} // namespace cleave
