#include "run/outputs.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace cleave {
namespace {

namespace fs = std::filesystem;

Layout two_nodes() {
  std::vector<NodePlace> nodes(2);
  std::vector<RankPlace> ranks(3);
  ranks[0].threads = 2;
  ranks[2].node = 1;
  return {nodes, ranks, {}};
}

/// Without a Slurm job around, in a folder of its own.
class DefaultName : public testing::Test {
protected:
  void SetUp() override {
    forget_job();
    std::string name = (fs::temp_directory_path() / "outputs_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    before_ = fs::current_path();
    fs::current_path(name);
  }
  void TearDown() override {
    forget_job();
    const fs::path folder = fs::current_path();
    fs::current_path(before_);
    fs::remove_all(folder);
  }
  static void forget_job() {
    for (const char* name :
         {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"})
      unsetenv(name);
  }
  static std::string stem() { return default_stem("ep", two_nodes(), 0); }

private:
  fs::path before_;
};

TEST_F(DefaultName, SaysWhatAndWhenAndWhere) {
  EXPECT_EQ(stem(), "ep-19700101T000000Z-2x2x2");
}

TEST_F(DefaultName, TellsSlurmJobsTasksAndAttemptsApart) {
  const std::string base = stem();
  setenv("SLURM_JOB_ID", "17", 1);
  EXPECT_EQ(stem(), base + "-j17");
  setenv("SLURM_RESTART_COUNT", "0", 1);
  EXPECT_EQ(stem(), base + "-j17");
  setenv("SLURM_RESTART_COUNT", "1", 1);
  EXPECT_EQ(stem(), base + "-j17-a2");
  setenv("SLURM_ARRAY_JOB_ID", "16", 1);
  setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  EXPECT_EQ(stem(), base + "-j16_3-a2");
}

TEST_F(DefaultName, TakesNoForeignPath) {
  setenv("SLURM_JOB_ID", "../../x", 1);
  EXPECT_EQ(stem(), "ep-19700101T000000Z-2x2x2");
}

TEST_F(DefaultName, GivesWayToAFileThatHasAppeared) {
  fs::create_directory("results");
  Plan plan;
  plan.workload = "ep";
  plan.trace = true;
  OutputFiles files(plan, {}, Values({}, {}), timings_of(plan, two_nodes()), 1);
  EXPECT_FALSE(files.take_next_name()) << "nobody has taken it";
  const fs::path first = files.timings();
  std::ofstream{first};
  EXPECT_TRUE(files.take_next_name());
  const std::string second = fs::path(first).replace_extension().string() + "-2";
  EXPECT_EQ(files.timings(), second + ".h5");
  EXPECT_EQ(files.all().back(), second + ".trace.h5");
  std::ofstream{files.timings()};
  EXPECT_TRUE(files.take_next_name());
  EXPECT_EQ(files.timings(), fs::path(first).replace_extension().string() + "-3.h5");
}

TEST_F(DefaultName, IsNotRefusedWhenAnotherRunHasTakenItMeanwhile) {
  fs::create_directory("results");
  Plan plan;
  plan.workload = "ep";
  const fs::path taken = timings_of(plan, two_nodes());
  std::ofstream{taken};
  OutputFiles files(plan, {}, Values({}, {}), taken, 1);
  EXPECT_TRUE(files.take_next_name());
  EXPECT_NE(files.timings(), taken);
}

TEST_F(DefaultName, TheUsersNameStays) {
  Plan plan;
  plan.workload = "ep";
  plan.timings = "mine.h5";
  OutputFiles files(plan, {}, Values({}, {}), timings_of(plan, two_nodes()), 1);
  std::ofstream{"mine.h5"};
  EXPECT_FALSE(files.has_default_name());
  EXPECT_FALSE(files.take_next_name());
  EXPECT_EQ(files.timings(), "mine.h5");
}

/// A workload that reads all files of a folder.
Workload reader_of_folder() {
  Workload workload;
  workload.parameters = {{.name = "input", .summary = "", .type = ParameterType::input_file}};
  workload.inputs = [](const Values& values) {
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(values.file("input")))
      files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
  };
  return workload;
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file) << text;
}

class Inputs : public DefaultName {
protected:
  static std::string checksums(const std::string& input) {
    const Workload workload = reader_of_folder();
    return input_checksums(workload,
                           Values(workload.parameters, {{"input", Values::Given{input, {}, {}}}}));
  }
};

TEST_F(Inputs, AreAllFilesOfAFolder) {
  fs::create_directory("in");
  write("in/a", "one");
  write("in/b", "two");
  std::set<std::string> seen = {checksums("in")};
  EXPECT_TRUE(seen.begin()->starts_with("files="));
  fs::rename("in", "moved");
  EXPECT_TRUE(seen.contains(checksums("moved"))) << "the same files";
  write("moved/b", "owt");
  EXPECT_TRUE(seen.insert(checksums("moved")).second);
  write("moved/c", "");
  EXPECT_TRUE(seen.insert(checksums("moved")).second);
  fs::rename("moved/c", "moved/d");
  EXPECT_TRUE(seen.insert(checksums("moved")).second);
  EXPECT_TRUE(checksums("moved/a").starts_with("input="));
}

TEST_F(Inputs, ThatMayChangeHaveNoChecksum) {
  fs::create_directory("in");
  ASSERT_EQ(mkfifo("in/pipe", 0600), 0);
  EXPECT_EQ(checksums("in"), std::string("files=") + unreadable);
  EXPECT_EQ(checksums("nowhere"), std::string("files=") + unreadable);
}

} // namespace
} // namespace cleave
