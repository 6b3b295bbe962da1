#include "cleave/provenance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

namespace cleave {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

TEST(MachineFacts, AreAllThereAndNoneIsEmpty) {
  const auto facts = machine_facts();
  for (const char* name :
       {"git_commit", "git_dirty", "build_type", "build_id", "compiler", "cxxflags", "mpi_version",
        "hdf5_version", "boost_version", "kernel", "cpu_model", "topology", "governor",
        "clocksource", "timer_resolution_ns", "environment"}) {
    ASSERT_TRUE(facts.contains(name)) << name;
    EXPECT_FALSE(facts.at(name).empty()) << name;
    EXPECT_NE(facts.at(name).back(), '\n') << name;
  }
}

TEST(MachineFacts, AreTrueOfThisProgram) {
  const auto facts = machine_facts();
  EXPECT_THAT(facts.at("build_id"), ContainsRegex("^[0-9a-f]{16,}$"));
  EXPECT_THAT(facts.at("git_commit"), ContainsRegex("^([0-9a-f]{40}|unknown)$"));
  EXPECT_THAT(facts.at("git_dirty"), ContainsRegex("^(true|false|unknown)$"));
  EXPECT_THAT(facts.at("mpi_version"), ContainsRegex("MPI"));
  EXPECT_THAT(facts.at("hdf5_version"), ContainsRegex("^[0-9]+\\.[0-9]+"));
  EXPECT_THAT(facts.at("boost_version"), ContainsRegex("^[0-9]+\\.[0-9]+"));
  EXPECT_THAT(facts.at("kernel"), HasSubstr("Linux"));
  EXPECT_THAT(facts.at("topology"),
              ContainsRegex("^[0-9]+ sockets?, [0-9]+ cores?, [0-9]+ threads? a core$"));
  EXPECT_GE(std::stol(facts.at("timer_resolution_ns")), 1);
}

TEST(MachineFacts, RecordTheEnvironmentAsJson) {
  setenv("OMP_CLEAVE_TEST", "a \"quoted\"\nline \xff", 1);
  setenv("SLURM_JWT", "secret", 1);
  const auto environment = nlohmann::json::parse(machine_facts().at("environment"));
  unsetenv("OMP_CLEAVE_TEST");
  unsetenv("SLURM_JWT");
  EXPECT_EQ(environment.at("OMP_CLEAVE_TEST"), "a \"quoted\"\nline \xEF\xBF\xBD");
  EXPECT_FALSE(environment.contains("SLURM_JWT"));
}

TEST(RecordedVariable, KeepsToTheListAndOffSecrets) {
  for (const char* name : {"OMPI_MCA_pml", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                           "SLURM_JOB_ID", "HDF5_USE_FILE_LOCKING"})
    EXPECT_TRUE(recorded_variable(name)) << name;
  for (const char* name : {"HOME", "PATH", "SLURM_JWT", "SLURMRESTD", "MY_OMP_X", ""})
    EXPECT_FALSE(recorded_variable(name)) << name;
}

} // namespace
} // namespace cleave
