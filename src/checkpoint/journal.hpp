/// @file
/// A file that only grows, of records with checksums: whoever writes it may be killed at any
/// instant, and all records before the one under way are read again.
#pragma once

#include "../handle.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

namespace cleave {

enum class RecordKind : std::uint32_t {
  facts = 1, ///< of an attempt: what it computes, and where
  done = 2,  ///< a repetition is complete and recorded
  part = 3,  ///< results of units [first, last) of a collective call
  state = 4, ///< from which a repetition can be gone on with after that call
};

/// What precedes each record's payload, as it lies in the file. A reader trusts nothing of it
/// before `check` has been compared.
struct RecordHead {
  std::uint64_t magic = 0;
  std::uint64_t check = 0; ///< XXH3-64 of the rest of the head and of the payload
  RecordKind kind = RecordKind::facts;
  std::int32_t repetition = 0;
  std::uint64_t call = 0; ///< number of the collective call in its repetition
  std::uint64_t form = 0; ///< hash of its verb and types
  std::int64_t units = 0; ///< of the whole call
  std::int64_t first = 0; ///< of the units that the payload is of
  std::int64_t last = 0;
  double time_s = 0;       ///< when it was appended: seconds since 1970
  std::uint64_t bytes = 0; ///< of the payload
};
static_assert(sizeof(RecordHead) == 80, "no padding: all bytes are checked");

/// Appends records. Thread-safe.
class JournalWriter {
public:
  /// Creates the file, which must not be there, not even as a link.
  /// @param room the most bytes in memory at a time @throws FileFailure
  JournalWriter(const std::filesystem::path& file, std::size_t room);

  /// Takes a record into memory. @return false where there is no room
  [[nodiscard]] bool append(RecordHead head, std::span<const std::byte> payload);
  /// Hands everything to the kernel: the end of this process loses nothing any more.
  /// @return the bytes @throws FileFailure; what was in memory is lost then
  std::size_t flush();
  /// The end of this machine loses nothing of what was flushed. @throws FileFailure
  void sync();
  /// Forgets all records. @throws FileFailure
  void restart();
  /// Whether the file was removed, or a folder that leads to it.
  [[nodiscard]] bool is_gone() const noexcept;
  /// Whether there is a file of this name, but another one.
  [[nodiscard]] bool replaced_at(const std::filesystem::path& name) const noexcept;

private:
  std::filesystem::path name_;
  Descriptor file_;
  std::size_t room_;
  std::mutex memory_mutex_; // of buffer_
  std::vector<std::byte> buffer_;
  std::mutex file_mutex_; // whole records, in their order
  std::vector<std::byte> writing_;
  std::uint64_t written_ = 0;
};

/// Where a record's payload lies.
struct RecordPlace {
  RecordHead head;
  std::uint64_t offset = 0;
};

/// Hands over the records of a file, one after the other, up to the first that is not whole: a file
/// that was cut or changed ends there. A record at a time is in memory, and none that is larger
/// than the file. Local. @return the bytes of those records
/// @throws FileFailure where the file cannot be read
std::uint64_t read_journal(
    const std::filesystem::path& file,
    const std::function<void(const RecordPlace&, std::span<const std::byte> payload)>& told);

/// Reads payloads again. Not thread-safe.
class JournalReader {
public:
  /// @throws FileFailure
  explicit JournalReader(const std::filesystem::path& file);
  /// Compared with its checksum once more. @throws FileFailure
  [[nodiscard]] std::vector<std::byte> payload(const RecordPlace& place) const;

private:
  Descriptor file_;
};

} // namespace cleave
