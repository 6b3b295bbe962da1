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

TEST(RecordedVariable, KnowsSlurmsByName) {
  for (const char* name :
       {"SLURM_RESTART_COUNT", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT", "SLURM_JOB_NODELIST", "SLURM_NNODES", "SLURM_NTASKS",
        "SLURM_TASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_JOB_CPUS_PER_NODE", "SLURM_CPU_BIND",
        "SLURM_JOB_PARTITION", "SLURM_JOB_QOS", "SLURM_JOB_ACCOUNT", "SLURM_CONF", "SLURM_HET_SIZE",
        "SRUN_CPUS_PER_TASK"})
    EXPECT_TRUE(recorded_variable(name)) << name;
  for (const char* name : {"SLURM_", "SLURM_JOB_COMMENT", "SLURM_SITE_LICENCE", "SLURM_JOB_IDX",
                           "SLURM_JOB_USER", "SLURM_TOKEN"})
    EXPECT_FALSE(recorded_variable(name)) << name;
}

TEST(RecordedVariable, KeepsSecretsOfFamiliesOut) {
  for (const char* name : {"OMPI_MCA_orte_precondition_transports", "OMPI_MCA_ssl_key",
                           "OMPI_my_Token", "OMP_PASSWORD", "HDF5_CREDENTIALS", "OMPI_PASSWD"})
    EXPECT_FALSE(recorded_variable(name)) << name;
}

} // namespace
} // namespace cleave
