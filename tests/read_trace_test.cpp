// read_trace: the inverse of write_trace, and on files that are damaged or foreign.
#include "cleave/store.hpp"
#include "store_fixture.hpp"
#include "store_sample.hpp"

#include <string>

namespace cleave {

static bool operator==(const TraceRow& a, const TraceRow& b) {
  return a.rep == b.rep && a.rank == b.rank && a.thread == b.thread &&
         a.first_task == b.first_task && a.tasks == b.tasks && a.begin_s == b.begin_s &&
         a.end_s == b.end_s;
}

namespace {

using testing::bytes_of;
using testing::error_of;
using testing::expect_refusal;
using testing::write_bytes;

class ReadTrace : public testing::StoreTest {
protected:
  ReadTrace() { write_trace(file_, sample_trace()); }
  void expect_refused(const std::string& words) const {
    expect_refusal(error_of([&] { static_cast<void>(read_trace(file_)); }), file_, words);
  }
};

TEST_F(ReadTrace, GivesWhatWasWritten) {
  EXPECT_EQ(read_trace(file_), sample_trace());
  write_trace(file_, {});
  EXPECT_TRUE(read_trace(file_).empty());
}

TEST_F(ReadTrace, RefusesWhatIsNoTrace) {
  std::filesystem::remove(file_);
  expect_refused("no such file");
  write_bytes(file_, "rank,seconds\n");
  expect_refused("not a whole trace file");
  std::filesystem::remove(file_);
  Store(file_, sample_info(), {1, 0, false});
  expect_refused("but not a trace file: its attribute format is not cleave-trace");
}

TEST_F(ReadTrace, RefusesNegativeNumbers) {
  auto rows = sample_trace();
  rows[3].rank = -1;
  write_trace(file_, rows);
  expect_refused("dataset rank holds -1");
}

TEST_F(ReadTrace, RefusesEveryTruncation) {
  const std::string bytes = bytes_of(file_);
  for (std::size_t length = 0; length < bytes.size(); length += bytes.size() / 40) {
    write_bytes(file_, bytes.substr(0, length));
    expect_refused("not a whole trace file");
  }
}

TEST_F(ReadTrace, SurvivesFlippedBytes) {
  const std::string bytes = bytes_of(file_);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    std::string damaged = bytes;
    const std::size_t at = i * 7919 % bytes.size();
    damaged[at] = static_cast<char>(i % 2 == 0 ? 0xFF : damaged[at] ^ 0x10);
    write_bytes(file_, damaged);
    try {
      static_cast<void>(read_trace(file_));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 5U);
}

} // namespace
} // namespace cleave
