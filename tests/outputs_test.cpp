#include "run/outputs.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

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

} // namespace
} // namespace cleave
