// Journals of a checkpoint: what is given back of those that are whole, cut or changed.
#include "../src/checkpoint/journal.hpp"
#include "store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

namespace cleave {
namespace {

namespace fs = std::filesystem;

using JournalTest = testing::StoreTest;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::string> payloads_in(const fs::path& file) {
  std::vector<std::string> all;
  read_journal(file, [&](const RecordPlace& place, std::span<const std::byte> payload) {
    EXPECT_EQ(JournalReader(file).payload(place), std::vector(payload.begin(), payload.end()));
    all.push_back(text_of(payload));
  });
  return all;
}

void write_journal(const fs::path& file, const std::vector<std::string>& payloads) {
  JournalWriter writer(file, 1 << 20);
  for (const std::string& payload : payloads)
    EXPECT_TRUE(writer.append({.kind = RecordKind::part}, bytes_of(payload)));
  EXPECT_GT(writer.flush(), 0U);
}

TEST_F(JournalTest, AJournalGivesBackItsRecords) {
  const std::vector<std::string> payloads = {"one", "", std::string(100'000, 'x')};
  write_journal(file_, payloads);
  EXPECT_EQ(payloads_in(file_), payloads);
}

TEST_F(JournalTest, AJournalThatIsCutEndsWithItsLastWholeRecord) {
  const std::vector<std::string> payloads = {"first", "second", "third"};
  write_journal(file_, payloads);
  const auto size = fs::file_size(file_);
  const std::uintmax_t one = sizeof(RecordHead) + 5;
  for (std::uintmax_t cut = 0; cut < size; cut += 7) {
    fs::copy_file(file_, in_folder("cut"), fs::copy_options::overwrite_existing);
    fs::resize_file(in_folder("cut"), cut);
    EXPECT_EQ(payloads_in(in_folder("cut")).size(), cut < one           ? 0U
                                                    : cut < 2 * one + 1 ? 1U
                                                                        : 2U)
        << cut;
  }
}

TEST_F(JournalTest, AChangedByteHidesARecordAndNeverChangesIt) {
  const std::vector<std::string> payloads = {"first", "second", "third"};
  write_journal(file_, payloads);
  for (std::uintmax_t at = 0; at < fs::file_size(file_); ++at) {
    fs::copy_file(file_, in_folder("changed"), fs::copy_options::overwrite_existing);
    {
      std::fstream stream(in_folder("changed"), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(at));
      const char was = static_cast<char>(stream.get());
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(was ^ 0x10));
    }
    const auto found = payloads_in(in_folder("changed"));
    ASSERT_LT(found.size(), payloads.size()) << at;
    EXPECT_TRUE(std::equal(found.begin(), found.end(), payloads.begin())) << at;
  }
}

TEST_F(JournalTest, AFullJournalTakesNoMore) {
  JournalWriter writer(file_, 200);
  EXPECT_TRUE(writer.append({}, bytes_of("kept")));
  EXPECT_FALSE(writer.append({}, bytes_of(std::string(100, 'x'))));
  EXPECT_GT(writer.flush(), 0U);
  EXPECT_TRUE(writer.append({}, bytes_of(std::string(1000, 'x')))) << "alone it is taken";
  EXPECT_FALSE(writer.append({}, {}));
  writer.flush();
  EXPECT_EQ(payloads_in(file_), (std::vector<std::string>{"kept", std::string(1000, 'x')}));
}

} // namespace
} // namespace cleave
