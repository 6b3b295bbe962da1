#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "store_sample.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <limits>

namespace cleave {
namespace {

namespace fs = std::filesystem;

class SummaryFile : public testing::Test {
protected:
  SummaryFile() { fs::create_directories(folder_); }
  ~SummaryFile() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string written(const std::string& name, const Summary& summary) const {
    write_summary(folder_ / name, summary);
    std::ifstream stream(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const fs::path folder_ =
      fs::temp_directory_path() / ("summary_file_test." + std::to_string(getpid()));
};

TEST_F(SummaryFile, IsOneJsonObjectInOrder) {
  const auto object = nlohmann::ordered_json::parse(written("a.json", sample_summary()));
  EXPECT_EQ(object.begin().key(), "count");
  EXPECT_EQ(object.at("count"), 9'007'199'254'740'993);
  EXPECT_EQ(object.at("sx"), 0.1);
  EXPECT_EQ(object.at("unit"), "pairs, \"each\"");
  EXPECT_EQ(object.at("values"), (std::vector<int>{1, -4, 9}));
  EXPECT_EQ(object.at("sums").at(1), "a\nb");
  EXPECT_TRUE(object.at("nothing").empty());
  EXPECT_EQ(written("b.json", {}), "{}\n");
}

TEST_F(SummaryFile, JsonHasNoWordForNanAndNoBytesBeyondUtf8) {
  const auto object = nlohmann::json::parse(written(
      "a.json", {{"x", std::numeric_limits<double>::quiet_NaN()}, {"s", std::string("\xE9")}}));
  EXPECT_TRUE(object.at("x").is_null());
  EXPECT_EQ(object.at("s"), "\xEF\xBF\xBD");
}

TEST_F(SummaryFile, IsCsvWithAColumnAFact) {
  EXPECT_EQ(written("a.csv", sample_summary()),
            "count,sx,unit,values,means,sums,nothing\n"
            "9007199254740993,0.1,\"pairs, \"\"each\"\"\",1,0.5,333332833333500000,\n"
            ",,,-4,1e+300,\"a\nb\",\n"
            ",,,9,,,\n");
}

TEST_F(SummaryFile, ReplacesWhatWasThere) {
  std::ofstream(folder_ / "a.csv") << "old and much longer than the new";
  EXPECT_EQ(written("a.csv", {{"x", std::int64_t{1}}}), "x\n1\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(SummaryFile, RefusesOtherSuffixes) {
  for (const char* name : {"a.txt", "a", "a.h6", "h5", ".csv", "a.h5.gz"}) {
    try {
      accept_summary_file(folder_ / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_NE(error.message().find(".h5, .json or .csv"), std::string::npos);
    }
    EXPECT_THROW(write_summary(folder_ / name, {}), Error);
  }
  for (const char* name : {"a.h5", "a.json", "b.a.csv", "A.H5", "a.JSON", "a.Csv"})
    accept_summary_file(folder_ / name);
}

TEST_F(SummaryFile, SaysWhenItCannotBeWritten) {
  for (const char* name : {"a.h5", "a.json", "a.csv"})
    try {
      write_summary(folder_ / "none" / name, sample_summary());
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_NE(error.message().find("No such file or directory"), std::string::npos)
          << error.what();
    }
}

} // namespace
} // namespace cleave
