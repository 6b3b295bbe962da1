/// @file
/// A fuzzer's input as a file that readers can open.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace cleave::fuzz {

/// A file in memory that is emptied and filled again for each input.
class InMemory {
public:
  explicit InMemory(const char* name) : file_(memfd_create(name, 0)) {}

  const std::filesystem::path& hold(const std::uint8_t* data, std::size_t size) {
    if (ftruncate(file_, 0) != 0 || pwrite(file_, data, size, 0) != static_cast<ssize_t>(size))
      std::abort();
    return path_;
  }

private:
  int file_;
  std::filesystem::path path_ = "/proc/self/fd/" + std::to_string(file_);
};

} // namespace cleave::fuzz
