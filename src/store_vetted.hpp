/// @file
/// Files of this project read as strangers': tried in another process first, and refused in one
/// sentence whatever is wrong with them.
#pragma once

#include "hdf5_file.hpp"
#include "store_trial.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

namespace cleave {

/// What a file is expected to be.
struct FileKind {
  const char* format; ///< its root attribute of that name
  int major;          ///< of its attribute format_version
  const char* what;   ///< in messages, such as "timings"
};

/// Reads what is wanted of an open file of so many bytes. @throws hdf5::Failure
using VettedReader = std::function<void(const hdf5::File&, std::uintmax_t bytes)>;

/// @throws Error bad_input with `message`; place.file names the file
[[noreturn]] void refuse_to_read(const std::filesystem::path& file, const std::string& message);

/// Refuses files of other formats and of other major versions. @throws Error bad_input
void require_format(const std::filesystem::path& path, const hdf5::File& file,
                    const FileKind& kind);

/// The length of the scale `name`, of which a file of this size can hold no more.
/// @throws hdf5::Failure
[[nodiscard]] std::size_t length_of(hid_t group, const char* name, std::uintmax_t file_bytes);

/// Refuses what is no file at all. @throws Error bad_input
void require_file(const std::filesystem::path& file);

/// Calls `read` with every file in turn in a child process, one for all: HDF5 1.10 crashes on some
/// damaged files and never ends on others. `files` and `read` live until its end. Not thread-safe.
[[nodiscard]] Trial try_to_read(std::span<const std::filesystem::path> files, const FileKind& kind,
                                const VettedReader& read);

/// Calls `read` in this process. @throws Error bad_input when it fails or the file is being written
void read_or_refuse(const std::filesystem::path& file, const FileKind& kind,
                    const VettedReader& read);

/// All three for one file. @throws Error bad_input
void read_vetted(const std::filesystem::path& file, const FileKind& kind, const VettedReader& read);

} // namespace cleave
