#include "store_vetted.hpp"

#include "cleave/error.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>

namespace cleave {
namespace fs = std::filesystem;

void refuse_to_read(const fs::path& file, const std::string& message) {
  throw Error(ErrorKind::bad_input, message, {file.string(), 0, {}});
}

void require_format(const fs::path& path, const hdf5::File& file, const FileKind& kind) {
  std::string format;
  try {
    format = hdf5::read_text_attribute(file.get(), "format");
  } catch (const hdf5::Failure&) {
    format.clear(); // an HDF5 file of somebody else
  }
  if (format != kind.format)
    refuse_to_read(path, std::string("is an HDF5 file, but not a ") + kind.what +
                             " file: its attribute format is not " + kind.format);
  const std::string version = hdf5::read_text_attribute(file.get(), "format_version");
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  if (major != kind.major)
    refuse_to_read(path, "has format version " + version + "; this program reads " +
                             std::to_string(kind.major) + ".x" +
                             (major > kind.major ? ", so take a newer one" : ""));
}

std::size_t length_of(hid_t group, const char* name, std::uintmax_t file_bytes) {
  const hdf5::Dataset scale = hdf5::open_dataset(group, name);
  const hdf5::Shape shape = hdf5::shape_of(scale);
  if (shape.size() != 1 || shape.front() > file_bytes)
    throw hdf5::Failure(std::string("dimension ") + name + " has no sensible length");
  return shape.front();
}

void require_file(const fs::path& file) {
  std::error_code ignored;
  const auto there = fs::status(file, ignored);
  if (!fs::exists(there))
    refuse_to_read(file, "there is no such file");
  if (!fs::is_regular_file(there))
    refuse_to_read(file, fs::is_directory(there) ? "is a directory, not a timings file"
                                                 : "is not a regular file");
}

Trial try_to_read(std::span<const fs::path> files, const FileKind& kind, const VettedReader& read) {
  std::error_code ignored;
  std::uintmax_t bytes = 0;
  for (const fs::path& file : files)
    bytes += fs::file_size(file, ignored);
  const auto megabytes = static_cast<std::int64_t>(bytes >> 20U);
  const auto each = [&] {
    for (const fs::path& file : files)
      read_or_refuse(file, kind, read);
  };
  return {each, std::chrono::seconds(3 + std::ssize(files) / 50 + megabytes / 50)};
}

void read_or_refuse(const fs::path& path, const FileKind& kind, const VettedReader& read) {
  const hdf5::Quiet quiet;
  try {
    const hdf5::File file = hdf5::open_file(path, false);
    require_format(path, file, kind);
    read(file, fs::file_size(path));
  } catch (const hdf5::Failure& failure) {
    const std::string reason = failure.what();
    if (reason.find(std::strerror(EAGAIN)) != std::string::npos) // its lock
      refuse_to_read(path, "is being written by a run; read it when the run has ended");
    refuse_to_read(path, std::string("is not a whole ") + kind.what + " file: " + reason);
  } catch (const fs::filesystem_error& failure) {
    refuse_to_read(path, failure.code().message());
  }
}

void read_vetted(const fs::path& file, const FileKind& kind, const VettedReader& read) {
  require_file(file);
  const TrialEnd end = try_to_read(std::span(&file, 1), kind, read).end();
  if (!end.survived)
    refuse_to_read(file, std::string("is not a whole ") + kind.what + " file: HDF5 fails on it");
  if (!end.message.empty())
    refuse_to_read(file, end.message);
  read_or_refuse(file, kind, read);
}

} // namespace cleave
