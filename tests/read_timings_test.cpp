// read_timings on files that are damaged, foreign or newer.
#include "cleave/store.hpp"
#include "store_fixture.hpp"
#include "store_sample.hpp"

#include <cstddef>
#include <string>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using testing::bytes_of;
using testing::error_of;
using testing::expect_refusal;
using testing::write_bytes;

class ReadTimings : public testing::StoreTest {
protected:
  ReadTimings() {
    Store store(file_, sample_info(), {3, 0, false});
    store.commit(0, sample_repetition(0, "block"));
  }
  void expect_refused(const std::string& words) const {
    expect_refusal(error_of([&] { static_cast<void>(read_timings(file_)); }), file_, words);
  }
  /// Puts `after` in place of `before`, which has the same length, wherever it stands.
  void alter(const std::string& before, const std::string& after) const {
    std::string bytes = bytes_of(file_);
    ASSERT_NE(bytes.find(before), std::string::npos);
    for (std::size_t at = 0; (at = bytes.find(before, at)) != std::string::npos; at += after.size())
      bytes.replace(at, before.size(), after);
    write_bytes(file_, bytes);
  }
};

TEST_F(ReadTimings, RefusesWhatIsNotThere) {
  fs::remove(file_);
  expect_refused("no such file");
  fs::create_directory(file_);
  expect_refused("is a directory");
}

TEST_F(ReadTimings, RefusesWhatIsNotHdf5) {
  write_bytes(file_, "");
  expect_refused("not a whole timings file");
  write_bytes(file_, "rank,seconds\n0,1.5\n");
  expect_refused("not a whole timings file");
}

TEST_F(ReadTimings, RefusesHdf5OfOthers) {
  write_summary(file_, {{"answer", std::int64_t{42}}});
  expect_refused("not a timings file");
  alter("answer", "format");
  expect_refused("not a timings file");
}

TEST_F(ReadTimings, RefusesANewerFormat) {
  alter("1.2", "2.1");
  expect_refused("format version 2.1; this program reads 1.x, so take a newer one");
}

TEST_F(ReadTimings, ReadsANewerMinorVersion) {
  alter("1.2", "1.7");
  EXPECT_EQ(read_timings(file_).run.size(), 1U);
}

TEST_F(ReadTimings, RefusesEveryTruncation) {
  const std::string bytes = bytes_of(file_);
  for (std::size_t size = 0; size < bytes.size(); size += bytes.size() / 20) {
    write_bytes(file_, bytes.substr(0, size));
    expect_refused("not a whole timings file");
  }
}

TEST_F(ReadTimings, RefusesSizesThatDoNotFit) {
  fs::remove(file_);
  {
    RunInfo info = sample_info();
    Store store(file_, info, {3, 0, false});
  }
  alter("barrier_skew", "barrier_slew"); // a variable is missing
  expect_refused("barrier_skew");
}

// Whatever is damaged: what can be read is read, what cannot is refused.
TEST_F(ReadTimings, SurvivesDamagedBytes) {
  const std::string bytes = bytes_of(file_);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 150; ++i) {
    std::string damaged = bytes;
    const std::size_t at = i * 7919 % bytes.size();
    for (std::size_t k = 0; k <= i % 4; ++k)
      damaged[(at + k) % bytes.size()] = static_cast<char>(i % 3 == 0 ? 0xFF : damaged[at] ^ 0x10);
    write_bytes(file_, damaged);
    try {
      static_cast<void>(read_timings(file_));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
      EXPECT_EQ(error.place().file, file_.string());
      ++refused;
    }
  }
  EXPECT_GT(refused, 15U);
}

// HDF5 1.10 dies of this one: a text in the heap that claims to be longer than the heap.
TEST_F(ReadTimings, RefusesWhatHdf5DiesOf) {
  std::string bytes = bytes_of(file_);
  const std::size_t text = bytes.find("4,6");
  ASSERT_NE(text, std::string::npos);
  bytes[text - 8 + 3] = '\x7F'; // the length, 64 bits, stands before the text
  write_bytes(file_, bytes);
  expect_refused("HDF5 fails on it");
}

// Nor does it end on this one: an object in the heap that takes no room, so that none follows it.
TEST_F(ReadTimings, RefusesWhatHdf5NeverEndsOn) {
  std::string bytes = bytes_of(file_);
  const std::size_t text = bytes.find("4,6");
  ASSERT_NE(text, std::string::npos);
  bytes.replace(text - 16, 16, 16, '\0');
  write_bytes(file_, bytes);
  expect_refused("HDF5 fails on it");
}

// Files are tried many at a time: the one that is damaged is named, and those before it are told.
TEST_F(ReadTimings, NamesTheDamagedOneOfMany) {
  std::vector<fs::path> files;
  for (int i = 0; i < 150; ++i) {
    files.push_back(in_folder(std::to_string(i) + ".h5"));
    fs::copy_file(file_, files.back());
  }
  std::size_t told = 0;
  const auto count = [&](const fs::path& file, const Timings& timings) {
    EXPECT_EQ(file, files[told++]);
    EXPECT_EQ(timings.run.size(), 1U);
  };
  read_timings(files, count);
  EXPECT_EQ(told, files.size());
  write_bytes(files[130], bytes_of(file_).substr(0, 2000));
  told = 0;
  expect_refusal(error_of([&] { read_timings(files, count); }), files[130],
                 "not a whole timings file");
  EXPECT_EQ(told, 130U);
}

} // namespace
} // namespace cleave
