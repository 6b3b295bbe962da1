// A checkpoint's journal: records that are whole up to the first that is not, each read twice
// alike.
#include "checkpoint/journal.hpp"
#include "cleave/timings.hpp"
#include "new_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

namespace {

using namespace cleave;

constexpr std::size_t checked_from = offsetof(RecordHead, kind);

/// Sets right the checksums of records whose length fits: else nothing behind the first byte that
/// changes is ever reached.
void mend_checks(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 0; at + sizeof(RecordHead) <= size;) {
    RecordHead head;
    std::memcpy(&head, data + at, sizeof head);
    if (head.bytes > size - at - sizeof head)
      return;
    const std::size_t length = sizeof head + head.bytes;
    const auto check = checksum(std::as_bytes(std::span(data + at, length)).subspan(checked_from));
    std::memcpy(data + at + offsetof(RecordHead, check), &check, sizeof check);
    at += length;
  }
}

} // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 4 != 0)
    mend_checks(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = "journal"; // journals are opened through no link, as in /proc
  std::ofstream(path, std::ios::binary)
      << std::string_view(reinterpret_cast<const char*>(data), size);
  std::vector<std::pair<RecordPlace, std::vector<std::byte>>> records;
  std::size_t bytes = 0;
  read_journal(path, [&](const RecordPlace& place, std::span<const std::byte> payload) {
    if (place.offset != bytes || place.head.bytes != payload.size())
      std::abort();
    bytes += sizeof(RecordHead) + payload.size();
    records.emplace_back(place, std::vector(payload.begin(), payload.end()));
  });
  if (bytes > size)
    std::abort();
  for (auto& [place, payload] : records) {
    if (JournalReader(path).payload(place) != payload)
      std::abort();
    ++place.offset; // where no record begins
    try {
      static_cast<void>(JournalReader(path).payload(place));
      std::abort();
    } catch (const FileFailure&) { // as it should
    }
  }
  return 0;
}
