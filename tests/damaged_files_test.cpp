// Timings files and traces with damaged bytes: refused, or read as they were written.
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
  const auto survived = testing::survive(file_, [&] { return same(read_timings(file_), written); });
  EXPECT_GT(survived.refused, testing::damages() / 10);
  EXPECT_GT(survived.right, testing::damages() / 10);
}

TEST_F(DamagedFiles, OfTracesAreRefusedOrRight) {
  write_trace(file_, sample_trace());
  const auto written = read_trace(file_);
  const auto survived = testing::survive(file_, [&] {
    const auto read = read_trace(file_);
    return std::equal(read.begin(), read.end(), written.begin(), written.end(),
                      [](const TraceRow& a, const TraceRow& b) { return same(a, b); });
  });
  EXPECT_GT(survived.refused, testing::damages() / 10);
  EXPECT_GT(survived.right, testing::damages() / 10);
}

} // namespace
} // namespace cleave
