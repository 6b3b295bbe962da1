#include "journal.hpp"

#include "../new_file.hpp"
#include "cleave/timings.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

namespace cleave {
namespace {

constexpr std::uint64_t record_magic =
    std::bit_cast<std::uint64_t>(std::array<char, 8>{'c', 'l', 'e', 'a', 'v', 'e', 'J', '1'});
constexpr std::size_t checked_from = 2 * sizeof(std::uint64_t); // magic and check

double utc_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Reads `to` whole. False at the end of the file.
bool read_at(int file, std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t count = pread(file, to.data(), to.size(), static_cast<off_t>(offset));
    if (count < 0 && errno != EINTR)
      throw FileFailure("read it", errno);
    if (count == 0)
      return false;
    if (count > 0) {
      offset += static_cast<std::uint64_t>(count);
      to = to.subspan(static_cast<std::size_t>(count));
    }
  }
  return true;
}

Descriptor opened(const std::filesystem::path& file, int flags) {
  Descriptor descriptor(open(file.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!descriptor)
    throw FileFailure((flags & O_CREAT) != 0 ? "create it" : "open it", errno);
  return descriptor;
}

RecordHead head_in(std::span<const std::byte> record) {
  RecordHead head;
  std::memcpy(&head, record.data(), sizeof head);
  return head;
}

/// A record whole and unchanged, in `record`; false else.
bool read_record(int file, std::uint64_t offset, std::uint64_t size,
                 std::vector<std::byte>& record) {
  record.resize(sizeof(RecordHead));
  if (size - offset < sizeof(RecordHead) || !read_at(file, offset, record))
    return false;
  const RecordHead head = head_in(record);
  if (head.magic != record_magic || head.bytes > size - offset - sizeof head)
    return false;
  record.resize(sizeof head + head.bytes);
  return read_at(file, offset + sizeof head, std::span(record).subspan(sizeof head)) &&
         checksum(std::span(record).subspan(checked_from)) == head.check;
}

std::uint64_t size_of(int file) {
  const off_t size = lseek(file, 0, SEEK_END);
  if (size < 0)
    throw FileFailure("read it", errno);
  return static_cast<std::uint64_t>(size);
}

} // namespace

JournalWriter::JournalWriter(const std::filesystem::path& file, std::size_t room)
    : name_(file), file_(opened(file, O_WRONLY | O_CREAT | O_EXCL)), room_(room) {}

bool JournalWriter::append(RecordHead head, std::span<const std::byte> payload) {
  head.magic = record_magic;
  head.bytes = payload.size();
  head.time_s = utc_s();
  const std::lock_guard lock(memory_mutex_);
  const std::size_t begin = buffer_.size();
  const std::size_t end = begin + sizeof head + payload.size();
  if (begin > 0 && end > room_) // one record alone may be larger
    return false;
  try {
    buffer_.resize(end);
  } catch (const std::bad_alloc&) { // a checkpoint must not cost the run
    return false;
  }
  std::memcpy(buffer_.data() + begin, &head, sizeof head);
  std::ranges::copy(payload, buffer_.begin() + static_cast<std::ptrdiff_t>(begin + sizeof head));
  head.check = checksum(std::span(buffer_).subspan(begin + checked_from));
  std::memcpy(buffer_.data() + begin + offsetof(RecordHead, check), &head.check, sizeof head.check);
  return true;
}

std::size_t JournalWriter::flush() {
  const std::lock_guard file_lock(file_mutex_);
  writing_.clear();
  {
    const std::lock_guard lock(memory_mutex_);
    std::swap(writing_, buffer_);
  }
  try {
    write_all(file_.get(), writing_);
  } catch (const FileFailure&) { // half a record would hide all that follow it
    if (ftruncate(file_.get(), static_cast<off_t>(written_)) == 0)
      lseek(file_.get(), 0, SEEK_END);
    throw;
  }
  written_ += writing_.size();
  return writing_.size();
}

void JournalWriter::sync() {
  if (fdatasync(file_.get()) != 0 && errno != EINVAL)
    throw FileFailure("bring it to the disk", errno);
}

void JournalWriter::restart() {
  const std::lock_guard file_lock(file_mutex_);
  const std::lock_guard lock(memory_mutex_);
  buffer_.clear();
  if (ftruncate(file_.get(), 0) != 0 || lseek(file_.get(), 0, SEEK_SET) != 0)
    throw FileFailure("empty it", errno);
  written_ = 0;
}

bool JournalWriter::is_gone() const noexcept {
  struct stat mine {};
  struct stat there {};
  return fstat(file_.get(), &mine) == 0 &&
         (mine.st_nlink == 0 ||
          (stat(name_.c_str(), &there) != 0 && (errno == ENOENT || errno == ENOTDIR)));
}

bool JournalWriter::replaced_at(const std::filesystem::path& name) const noexcept {
  struct stat mine {};
  struct stat there {};
  return fstat(file_.get(), &mine) == 0 && stat(name.c_str(), &there) == 0 &&
         (mine.st_dev != there.st_dev || mine.st_ino != there.st_ino);
}

std::uint64_t read_journal(
    const std::filesystem::path& file,
    const std::function<void(const RecordPlace&, std::span<const std::byte> payload)>& told) {
  const Descriptor descriptor = opened(file, O_RDONLY);
  const std::uint64_t size = size_of(descriptor.get());
  std::vector<std::byte> record;
  std::uint64_t offset = 0;
  for (; read_record(descriptor.get(), offset, size, record); offset += record.size())
    told({head_in(record), offset}, std::span(record).subspan(sizeof(RecordHead)));
  return offset;
}

JournalReader::JournalReader(const std::filesystem::path& file) : file_(opened(file, O_RDONLY)) {}

std::vector<std::byte> JournalReader::payload(const RecordPlace& place) const {
  std::vector<std::byte> record;
  if (!read_record(file_.get(), place.offset, size_of(file_.get()), record) ||
      head_in(record).check != place.head.check)
    throw FileFailure("read again what was there", EIO);
  record.erase(record.begin(), record.begin() + sizeof(RecordHead));
  return record;
}

} // namespace cleave
