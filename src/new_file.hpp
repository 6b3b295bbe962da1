/// @file
/// Files that appear whole or not at all: written under a temporary name beside their final one.
/// And files that grow under their own name, which no stranger can make point elsewhere.
#pragma once

#include "handle.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string_view>

namespace cleave {

/// The operating system refused; what() says what was tried and why it failed.
class FileFailure : public std::runtime_error {
public:
  /// @param error an errno value
  FileFailure(const char* doing, int error);
  [[nodiscard]] int error() const noexcept { return error_; }

private:
  int error_;
};

/// Writes all of `bytes`, in as many calls as it takes. Local. @throws FileFailure
void write_all(int descriptor, std::span<const std::byte> bytes);

/// A temporary name in the directory of a file to be. write() makes the file, or somebody else does
/// under path(); it is removed again unless it reaches its final name.
class NewFile {
public:
  /// @param durable false: nothing waits for the disk
  explicit NewFile(const std::filesystem::path& final_name, bool durable = true);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&& other) noexcept;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  /// The temporary name: unique, so that two programs never write one file.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return temporary_; }

  /// Creates the file, never one that is there, with these bytes and brings them to the disk.
  /// @throws FileFailure
  void write(std::span<const std::byte> bytes) const;
  /// Brings to the disk what somebody else has written. @throws FileFailure
  void sync() const;
  /// Gives the file its final name if that is free. @throws FileFailure, EEXIST when it is not
  void publish();
  /// Gives the file its final name in place of another of that name. @throws FileFailure
  void replace();

private:
  void sync_directory() const;

  std::filesystem::path final_;
  std::filesystem::path temporary_; // empty once there is nothing to remove
  bool durable_;
};

/// The file with this text, whole, in place of another of that name. Local. @throws Error io
void replace_with_text(const std::filesystem::path& file, std::string_view text);

/// Opens a file under its own name for writing, or makes it with the mode that umask leaves. In a
/// folder where anybody may make files but not remove those of others (the sticky bit, as /tmp) it
/// follows no link and takes no file of a user who is neither this one nor the folder's owner: the
/// rule that Linux has where fs.protected_symlinks and fs.protected_regular are on. Local,
/// thread-safe.
/// @param flags of open(2): O_WRONLY, O_RDWR, O_APPEND, O_TRUNC
/// @return none, with errno set, when it cannot be opened: EACCES for what is another user's
[[nodiscard]] Descriptor open_output(const std::filesystem::path& file, int flags);

/// Whether another user has put a folder, or a link, where open_output would not take it. Local,
/// thread-safe.
[[nodiscard]] bool is_strangers(const std::filesystem::path& folder);

/// Whether `name` is a name of the open file: not when that was removed or replaced. Local,
/// thread-safe.
[[nodiscard]] bool is_named(const Descriptor& file, const std::filesystem::path& name);

} // namespace cleave
