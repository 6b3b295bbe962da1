#include "cleave/slurm.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A Slurm job whose squeue is a shell script of the test's own.
class InAJob : public testing::Test {
protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "slurm_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    setenv("PATH", (name + ":" + path_).c_str(), 1);
    setenv("SLURM_JOB_ID", "17", 1);
    unsetenv("SLURM_JOB_END_TIME");
    unsetenv("SLURM_ARRAY_JOB_ID");
    unsetenv("SLURM_ARRAY_TASK_ID");
  }
  void TearDown() override {
    setenv("PATH", path_.c_str(), 1);
    fs::remove_all(folder_);
  }

  void squeue(const std::string& lines) const {
    const fs::path file = folder_ / "squeue";
    std::ofstream(file) << "#!/bin/sh\n" << lines << "\n";
    fs::permissions(file, fs::perms::owner_all);
  }

  fs::path folder_;

private:
  std::string path_ = std::getenv("PATH");
};

TEST(SlurmTime, IsReadOrIsNone) {
  EXPECT_EQ(slurm_time("1970-01-02T00:00:01"), 86'401);
  EXPECT_EQ(slurm_time("2026-11-29T12:00:00"), 1'795'953'600);
  for (const char* text : {"", "N/A", "UNLIMITED", "Unknown", "12:00:00", "2026-11-29",
                           "2026-11-29T12:00:00Z", "2026-13-29T12:00:00", "squeue: error"})
    EXPECT_EQ(slurm_time(text), std::nullopt) << text;
}

TEST_F(InAJob, TheEndIsAsked) {
  squeue("echo \"$@\" >" + (folder_ / "asked").string() + "; echo 2026-11-29T12:00:00");
  EXPECT_EQ(slurm_job_end(), 1'795'953'600);
  std::string asked;
  std::getline(std::ifstream(folder_ / "asked"), asked);
  EXPECT_EQ(asked, "-h -j 17 -o %e");
}

TEST_F(InAJob, TheEndIsTheSameInstantInEveryTimeZone) {
  setenv("TZ", "America/New_York", 1);
  setenv("SLURM_TIME_FORMAT", "relative", 1);
  squeue("test -z \"$SLURM_TIME_FORMAT\" && date -d @1795953600 +%FT%T");
  EXPECT_EQ(slurm_job_end(), 1'795'953'600);
  unsetenv("TZ");
  unsetenv("SLURM_TIME_FORMAT");
}

TEST_F(InAJob, ATaskOfAnArrayAsksForItself) {
  setenv("SLURM_ARRAY_JOB_ID", "17", 1);
  setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  squeue("test \"$3\" = 17_3 && echo 2026-11-29T12:00:00");
  EXPECT_EQ(slurm_job_end(), 1'795'953'600);
}

TEST_F(InAJob, ARanksVariablesStayWithIt) {
  setenv("PMIX_RANK", "0", 1);
  setenv("OMPI_COMM_WORLD_RANK", "0", 1);
  squeue("env | grep -q 'PMIX_\\|OMPI_' || echo 2026-11-29T12:00:00");
  EXPECT_EQ(slurm_job_end(), 1'795'953'600);
  unsetenv("PMIX_RANK");
  unsetenv("OMPI_COMM_WORLD_RANK");
}

TEST_F(InAJob, NoLimitIsNoEnd) {
  setenv("SLURM_JOB_END_TIME", "5", 1); // which is of the job's start: squeue knows better
  for (const char* answer : {"N/A", "UNLIMITED", "NONE", ""}) {
    squeue(std::string("echo '") + answer + "'");
    EXPECT_EQ(slurm_job_end(), std::nullopt) << answer;
  }
}

TEST_F(InAJob, WithoutAnAnswerTheStartsWordHolds) {
  for (const char* lines : {"exit 1", "kill -9 $$", "echo 2026-11-29T12:00:00; exit 1"}) {
    squeue(lines);
    EXPECT_EQ(slurm_job_end(), std::nullopt) << lines;
    setenv("SLURM_JOB_END_TIME", "1795953600", 1);
    EXPECT_EQ(slurm_job_end(), 1'795'953'600) << lines;
    setenv("SLURM_JOB_END_TIME", "soon", 1);
    EXPECT_EQ(slurm_job_end(), std::nullopt) << lines;
    unsetenv("SLURM_JOB_END_TIME");
  }
}

TEST_F(InAJob, NoSqueueIsNoAnswer) {
  setenv("PATH", folder_.c_str(), 1);
  EXPECT_EQ(slurm_job_end(), std::nullopt);
}

TEST_F(InAJob, ASilentSqueueIsKilledWithItsChildren) {
  const std::string left = (folder_ / "left").string();
  squeue("(sleep 1; touch " + left + ") & sleep 30");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(slurm_job_end(200ms), std::nullopt);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 900ms);
  squeue("exec >/dev/null; sleep 30");
  EXPECT_EQ(slurm_job_end(200ms), std::nullopt);
  squeue("while :; do echo 2026-11-29T12:00:00; done");
  EXPECT_EQ(slurm_job_end(), std::nullopt);
  std::this_thread::sleep_for(1s);
  EXPECT_FALSE(fs::exists(left));
}

TEST(SlurmCpus, AreThoseOfAllNodes) {
  EXPECT_EQ(slurm_cpus("4"), 4);
  EXPECT_EQ(slurm_cpus("2(x2),3"), 7);
  EXPECT_EQ(slurm_cpus("128(x1000)"), 128'000);
  for (const char* text : {"", "x", "2(x", "2(x)", "(x2)", "2(x2", "2(xa)", "-2", "2,,2",
                           "99999999999999999999", "9999999999(x9999999999)"})
    EXPECT_EQ(slurm_cpus(text), 0) << text;
}

TEST_F(InAJob, ItsFactsAreRead) {
  const std::map<std::string, std::string> variables = {
      {"SLURM_JOB_NUM_NODES", "2"},
      {"SLURM_NTASKS", "4"},
      {"SLURM_JOB_CPUS_PER_NODE", "4(x2)"},
      {"SLURM_STEP_NUM_TASKS", "2"},
      {"SLURM_MEM_PER_CPU", "100"},
      {"SLURM_CPUS_ON_NODE", "4"},
      {"SLURM_HET_SIZE", "2"},
      {"SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0", "4(x2)"},
      {"SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1", "1"}};
  for (const auto& [name, text] : variables)
    setenv(name.c_str(), text.c_str(), 1);
  const SlurmFacts facts = slurm_facts();
  EXPECT_EQ(facts.job, 17);
  EXPECT_EQ(facts.nodes, 2);
  EXPECT_EQ(facts.tasks, 4);
  EXPECT_EQ(facts.cpus, 8);
  EXPECT_EQ(facts.components, 2);
  EXPECT_EQ(facts.components_cpus, 9);
  EXPECT_EQ(facts.tasks_around_mpirun, 0) << "mpirun has not started this test";
  EXPECT_EQ(facts.memory_mib, 400);
  setenv("SLURM_HET_SIZE", "3", 1);
  EXPECT_EQ(slurm_facts().components_cpus, 0) << "of the third it is not told";
  setenv("SLURM_HET_SIZE", "nonsense", 1);
  EXPECT_EQ(slurm_facts().components, 0);
  setenv("SLURM_MEM_PER_NODE", "900", 1);
  EXPECT_EQ(slurm_facts().memory_mib, 900);
  unsetenv("SLURM_MEM_PER_NODE");
  for (const auto& [name, text] : variables)
    unsetenv(name.c_str());
}

TEST(OutsideOfAJob, NobodyIsAsked) {
  unsetenv("SLURM_JOB_ID");
  EXPECT_EQ(slurm_job_end(), std::nullopt);
  EXPECT_EQ(slurm_label(), "");
  setenv("SLURM_NTASKS", "4", 1);
  EXPECT_EQ(slurm_facts().tasks, 0);
  unsetenv("SLURM_NTASKS");
}

} // namespace
} // namespace cleave
