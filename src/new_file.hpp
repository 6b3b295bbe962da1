/// @file
/// Files that appear whole or not at all: written under a temporary name beside their final one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>

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
  explicit NewFile(const std::filesystem::path& final_name);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&& other) noexcept;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  /// The temporary name: unique, so that two programs never write one file.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return temporary_; }

  /// Creates the file with these bytes and brings them to the disk. @throws FileFailure
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
};

} // namespace cleave
