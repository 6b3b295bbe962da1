// Timings files and traces with damaged bytes: refused, or read as they were written.
#include "../src/checkpoint/attempts.hpp"
#include "cleave/serialize.hpp"
#include "cleave/store.hpp"
#include "damage.hpp"
#include "store_fixture.hpp"
#include "store_sample.hpp"

namespace cleave {
namespace {

class DamagedFiles : public testing::StoreTest {};

TEST_F(DamagedFiles, OfTimingsAreRefusedOrRight) {
  {
    Store store(file_, sample_info(), {7, 2, false});
    store.commit_warm_up(0, sample_repetition(0, "block"));
    for (int row = 0; row < 6; ++row)
      store.commit(row, sample_repetition(row, row < 4 ? "block" : "guided,64"));
  }
  const Timings written = read_timings(file_);
  ASSERT_EQ(written.run.size(), 6U);
  const auto survived =
      testing::survive("timings", file_, [&] { return same(read_timings(file_), written); });
  EXPECT_GT(survived.refused, testing::damages() / 10);
  EXPECT_GT(survived.right, testing::damages() / 10);
}

TEST_F(DamagedFiles, OfTracesAreRefusedOrRight) {
  write_trace(file_, sample_trace());
  const auto written = read_trace(file_);
  const auto survived = testing::survive("trace", file_, [&] {
    const auto read = read_trace(file_);
    return std::equal(read.begin(), read.end(), written.begin(), written.end(),
                      [](const TraceRow& a, const TraceRow& b) { return same(a, b); });
  });
  EXPECT_GT(survived.refused, testing::damages() / 10);
  EXPECT_GT(survived.right, testing::damages() / 10);
}

TEST_F(DamagedFiles, OfCheckpointsAreRightOrLess) {
  const auto journal = journal_of(folder_, 1, 0);
  const auto payload = [](std::int64_t first) { return std::vector<std::int64_t>{first, ~first}; };
  Packer facts;
  facts.put(Facts{{"workload", "one"}});
  facts.put(Facts{});
  {
    JournalWriter log(log_of(folder_, 1), 1 << 20);
    ASSERT_TRUE(log.append({.kind = RecordKind::facts}, facts.bytes()));
    log.flush();
    JournalWriter parts(journal, 1 << 20);
    for (std::int64_t first = 0; first < 100; first += 2) {
      const auto numbers = payload(first);
      ASSERT_TRUE(
          parts.append({.kind = RecordKind::part, .units = 100, .first = first, .last = first + 2},
                       std::as_bytes(std::span(numbers))));
    }
    parts.flush();
  }
  std::size_t least = 50;
  testing::survive("checkpoint", journal, [&] {
    std::size_t found = 0;
    for (const auto& [call, records] : read_attempts(folder_).parts)
      for (const KeptRecord& record : records) {
        const auto expected = payload(record.place.head.first);
        const auto bytes = std::as_bytes(std::span(expected));
        if (!std::ranges::equal(JournalReader(*record.file).payload(record.place), bytes))
          return false;
        ++found;
      }
    least = std::min(least, found);
    return true;
  });
  EXPECT_LT(least, 25U) << "damages hide nothing";
}

} // namespace
} // namespace cleave
