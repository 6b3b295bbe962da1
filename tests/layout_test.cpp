#include "cleave/error.hpp"
#include "cleave/layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <optional>

namespace cleave {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;

/// A node of `cores` cores with one CPU each.
NodePlace node(int cores, const std::string& name = "n1") {
  return {name, cores, cores, 1, 0, gibibyte, "Some CPU"};
}

RankPlace rank(std::vector<int> cores, int threads = 1, int node = 0) {
  return {node, threads, cores, cores, 100};
}

std::vector<int> first_cores(int count) {
  std::vector<int> cores(static_cast<std::size_t>(count));
  std::iota(cores.begin(), cores.end(), 0);
  return cores;
}

constexpr LaunchFacts by_mpirun{.under_mpirun = true};
constexpr LaunchFacts by_srun{.under_slurm = true};

std::string described(const std::vector<Finding>& found) {
  std::string text;
  for (const Finding& each : found)
    text += (each.severity == Finding::Severity::warning ? "warning: " : "note: ") + each.what +
            "\n    " + each.mend + '\n';
  return text;
}

std::string diagnosis(const Layout& layout) {
  return described(findings(layout));
}

TEST(CpuList, WritesAndReadsRuns) {
  const std::vector<std::pair<std::string, std::vector<int>>> cases = {
      {"", {}}, {"5", {5}}, {"0-3,8", {0, 1, 2, 3, 8}}, {"0,2,4-5", {0, 2, 4, 5}}};
  for (const auto& [text, cpus] : cases) {
    EXPECT_EQ(cpu_list(cpus), text);
    EXPECT_EQ(parse_cpu_list(text), cpus);
  }
}

TEST(CpuList, RefusesOtherText) {
  for (const char* text : {"x", "1-", "-1", "1,,2", "1 2", "99999999999"})
    EXPECT_THROW((void)parse_cpu_list(text), Error) << text;
}

TEST(Layout, CountsWorkersAndCores) {
  const Layout layout({node(4, "n1"), node(4, "n2")},
                      {rank({0, 1}, 2), rank({2, 3}, 2), rank({0, 1, 2}, 3, 1)}, by_mpirun);
  EXPECT_EQ(layout.workers(), 7);
  EXPECT_EQ(layout.workers_on(0), 4);
  EXPECT_EQ(layout.workers_on(1), 3);
  EXPECT_EQ(layout.ranks_on(0), 2);
  EXPECT_EQ(layout.threads(), 3);
  EXPECT_EQ(layout.allowed_cores(0), 4);
  EXPECT_EQ(layout.usable_cores(1), 3);
  EXPECT_FALSE(layout.oversubscribed());
  EXPECT_EQ(layout.summary(), "2 nodes, 3 ranks, 7 threads");
}

TEST(Layout, QuotaLimitsTheUsableCores) {
  NodePlace place = node(4);
  place.quota_cpus = 2.5;
  EXPECT_EQ(Layout({place}, {rank({0, 1, 2, 3})}, {}).usable_cores(0), 2);
  place.quota_cpus = 0.5;
  EXPECT_EQ(Layout({place}, {rank({0, 1, 2, 3})}, {}).usable_cores(0), 1);
  EXPECT_TRUE(Layout({place}, {rank({0, 1, 2, 3}, 2)}, {}).oversubscribed());
}

TEST(Layout, NamesItsShape) {
  EXPECT_EQ(Layout({node(2)}, {rank({0}), rank({1})}, {}).shape(), "multiprocessor");
  EXPECT_EQ(Layout({node(2)}, {rank({0, 1}, 2)}, {}).shape(), "multicore");
  EXPECT_EQ(Layout({node(4)}, {rank({0, 1}, 2), rank({2, 3}, 2)}, {}).shape(), "hybrid");
  EXPECT_EQ(Layout({node(4)}, {rank({0, 1}, 2), rank({2, 3}, 2)}, {}).summary(),
            "1 node x 2 ranks x 2 threads");
  EXPECT_EQ(Layout({node(4), node(4)}, {rank({0}), rank({0}, 1, 1)}, {}).summary(),
            "2 nodes x 1 rank x 1 thread");
}

int threads_of(const std::vector<RankPlace>& ranks, double quota = 0, int slurm_cpus = 0) {
  NodePlace place = node(8);
  place.quota_cpus = quota;
  return auto_threads(ranks, 0, place, {.slurm_cpus_per_task = slurm_cpus});
}

TEST(AutoThreads, SharesTheCoresAmongOverlappingRanks) {
  EXPECT_EQ(threads_of({rank(first_cores(8))}), 8);
  EXPECT_EQ(threads_of({rank(first_cores(8)), rank(first_cores(8))}), 4);
  EXPECT_EQ(threads_of({rank({0, 1, 2, 3}), rank({4, 5, 6, 7})}), 4);
  EXPECT_EQ(threads_of({rank({0, 1, 2}), rank({2, 3})}), 1);
  EXPECT_EQ(threads_of({rank({0}), rank({0}), rank({0})}), 1);
}

TEST(AutoThreads, KeepsWithinQuotaAndSlurm) {
  EXPECT_EQ(threads_of({rank(first_cores(8))}, 3.9), 3);
  EXPECT_EQ(threads_of({rank({0, 1, 2, 3}), rank({4, 5, 6, 7})}, 4), 2);
  EXPECT_EQ(threads_of({rank(first_cores(8))}, 0.5), 1);
  EXPECT_EQ(threads_of({rank(first_cores(8))}, 0, 2), 2);
  EXPECT_EQ(threads_of({rank(first_cores(8))}, 0, 64), 8);
}

TEST(MpirunLine, BindsARankToAsManyCoresAsThreads) {
  EXPECT_THAT(mpirun_line(2, 4, 8),
              ElementsAre("mpirun", "-q", "-n", "2", "--map-by", "slot:PE=4", "--bind-to", "core"));
  EXPECT_THAT(mpirun_line(1, 1, 2),
              ElementsAre("mpirun", "-q", "-n", "1", "--map-by", "slot:PE=1", "--bind-to", "core"));
}

TEST(MpirunLine, SharesTheCoresOutForAuto) {
  EXPECT_THAT(mpirun_line(3, 0, 8), testing::Contains("slot:PE=2"));
  EXPECT_THAT(mpirun_line(1, 0, 8), testing::Contains("slot:PE=8"));
}

TEST(MpirunLine, DoesNotBindWhatDoesNotFit) {
  const auto unbound =
      ElementsAre("mpirun", "-q", "-n", "4", "--oversubscribe", "--bind-to", "none");
  EXPECT_THAT(mpirun_line(4, 0, 2), unbound);
  EXPECT_THAT(mpirun_line(4, 1, 2), unbound);
  EXPECT_THAT(mpirun_line(4, 2, 7), unbound);
  EXPECT_THAT(mpirun_line(4, 2, 8, false),
              ElementsAre("mpirun", "-q", "-n", "4", "--bind-to", "none"));
}

TEST(MpirunLine, KeepsToMaskAndQuota) {
  const Layout whole({node(4)}, {rank(first_cores(4))}, {});
  EXPECT_EQ(mpirun_line(2, 2, whole), mpirun_line(2, 2, 4));
  const Layout part({node(4)}, {rank({1, 2})}, {});
  EXPECT_EQ(mpirun_line(2, 0, part), mpirun_line(2, 0, 2, false));
  NodePlace limited = node(4);
  limited.quota_cpus = 2;
  EXPECT_EQ(mpirun_line(4, 0, Layout({limited}, {rank(first_cores(4))}, {})), mpirun_line(4, 0, 2));
}

TEST(Doctor, FindsNothingInASoundLayout) {
  EXPECT_THAT(diagnosis({{node(2)}, {rank({0}), rank({1})}, by_mpirun}), IsEmpty());
  EXPECT_THAT(diagnosis({{node(4)}, {rank({0, 1, 2, 3}, 4)}, {}}), IsEmpty());
  EXPECT_THAT(diagnosis({{node(4)}, {rank({0, 1}, 2), rank({2, 3}, 2)}, by_mpirun}), IsEmpty());
  EXPECT_THAT(diagnosis({}), IsEmpty());
}

TEST(Doctor, FindsMoreWorkersThanCores) {
  const std::string text =
      diagnosis({{node(2)}, {rank({0, 1}), rank({0, 1}), rank({0, 1})}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("warning: n1 runs 3 workers on 2 cores"));
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by slot:PE=1 --bind-to core PROGRAM"));
  EXPECT_EQ(text.find("note"), std::string::npos) << "binding cannot mend that:\n" << text;
}

TEST(Doctor, FindsThreadsThatShareTheOneCoreOfTheirRank) {
  const std::string text = diagnosis({{node(4)}, {rank({0}, 2), rank({1}, 2)}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("bound 2 ranks to fewer cores than threads (2 threads on 1 core)"));
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by slot:PE=2 --bind-to core PROGRAM "
                              "--threads 2"));
}

TEST(Doctor, FindsRanksWithOneMask) {
  const std::string crowded = diagnosis({{node(4)}, {rank({0, 1}, 2), rank({0, 1}, 2)}, by_mpirun});
  EXPECT_THAT(crowded, HasSubstr("warning: 2 ranks of n1 may use the same CPUs 0-1, fewer cores "
                                 "than their 4 workers"));
  EXPECT_THAT(crowded, HasSubstr("slot:PE=2"));
  const std::string loose = diagnosis({{node(4)}, {rank({0, 1}), rank({0, 1})}, by_mpirun});
  EXPECT_THAT(loose, HasSubstr("note: 2 ranks of n1 may use the same CPUs 0-1: nothing keeps"));
}

TEST(Doctor, FindsUnboundRanks) {
  const std::string text =
      diagnosis({{node(4)}, {rank(first_cores(4)), rank(first_cores(4))}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("note: 2 ranks of n1 may use the same CPUs 0-3: they are not bound"));
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by slot:PE=1 --bind-to core PROGRAM"));
}

TEST(Doctor, FindsCoresThatTheBindingLeavesIdle) {
  const std::string text = diagnosis({{node(8)}, {rank({0}), rank({1})}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("note: the ranks of n1 may use 2 of 8 cores"));
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by slot:PE=4 --bind-to core PROGRAM "
                              "--threads 4"));
  EXPECT_THAT(diagnosis({{node(8)}, {rank({0}), rank({1})}, by_srun}), IsEmpty())
      << "a Slurm step owns only what it asked for";
}

TEST(Doctor, FindsSlurmCpusThatMpirunDoesNotUse) {
  const LaunchFacts facts{.under_mpirun = true, .under_slurm = true, .slurm_cpus_per_task = 4};
  const std::string text = diagnosis({{node(8)}, {rank({0}), rank({1})}, facts});
  EXPECT_THAT(text, HasSubstr("Slurm gives a task 4 CPUs"));
  EXPECT_THAT(text, HasSubstr("--map-by slot:PE=$SLURM_CPUS_PER_TASK"));
}

TEST(Doctor, FindsSlurmCpusThatSrunDidNotPassOn) {
  const LaunchFacts facts{.under_slurm = true, .slurm_cpus_per_task = 4};
  const std::string text = diagnosis({{node(8)}, {rank({0}), rank({1})}, facts});
  EXPECT_THAT(text,
              HasSubstr("warning: Slurm gives a task 4 CPUs (SLURM_CPUS_PER_TASK), but srun"));
  EXPECT_THAT(text, HasSubstr("srun --mpi=pmix -c $SLURM_CPUS_PER_TASK --cpu-bind=cores PROGRAM"));
  EXPECT_THAT(diagnosis({{node(8)}, {rank(first_cores(4), 4)}, facts}), IsEmpty());
}

/// A job of 2 nodes with 4 tasks of a CPU each on both.
LaunchFacts in_a_job() {
  LaunchFacts facts{.under_mpirun = true, .under_slurm = true};
  facts.slurm = {.job = 17, .nodes = 2, .tasks = 8, .cpus = 8};
  return facts;
}

TEST(Doctor, FindsAForgottenLauncherInASlurmJob) {
  LaunchFacts facts = in_a_job();
  facts.under_mpirun = false;
  const std::string text = diagnosis({{node(4)}, {rank(first_cores(4))}, facts});
  EXPECT_THAT(text,
              HasSubstr("warning: the Slurm job has 8 CPUs on 2 nodes for 8 tasks, but 1 worker "
                        "on 1 node computes"));
  EXPECT_THAT(text, HasSubstr("srun --mpi=pmix -n 8 --cpus-per-task=1 --cpu-bind=cores PROGRAM\n"));
}

TEST(Doctor, FindsCpusOfASlurmJobThatAreIdle) {
  LaunchFacts facts = in_a_job();
  facts.slurm.tasks = facts.slurm_cpus_per_task = 4;
  const std::vector<NodePlace> nodes = {node(64, "n1"), node(64, "n2")};
  const std::vector<RankPlace> ranks = {rank(first_cores(4), 2), rank(first_cores(4), 2, 1)};
  const std::string text = diagnosis({nodes, ranks, facts});
  EXPECT_THAT(text, HasSubstr("note: the Slurm job has 8 CPUs on 2 nodes, but 4 workers on 2 nodes "
                              "compute"));
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by ppr:1:node:PE=4 --bind-to core PROGRAM"));
  EXPECT_EQ(text.find("64"), std::string::npos) << "other cores are not the job's:\n" << text;
}

TEST(Doctor, CountsTwoCpusOfACoreOnce) {
  LaunchFacts facts = in_a_job();
  facts.slurm.tasks = 2;
  NodePlace two_threads = node(4, "n1");
  two_threads.cpus = 8;
  EXPECT_THAT(diagnosis({{two_threads}, {rank({0, 1}, 2), rank({2, 3}, 2)}, facts}), IsEmpty());
}

TEST(Doctor, FindsComponentsThatMpirunDoesNotUse) {
  LaunchFacts facts{.under_mpirun = true, .under_slurm = true};
  facts.slurm = {.job = 17, .components = 3};
  const Layout by_mpirun_alone({node(2)}, {rank({0}), rank({1})}, facts);
  EXPECT_THAT(diagnosis(by_mpirun_alone), HasSubstr("a heterogeneous job of 3 components"));
  EXPECT_THAT(diagnosis(by_mpirun_alone), HasSubstr("srun --mpi=pmix --het-group=0-2 PROGRAM"));
}

TEST(Doctor, FindsComponentsThatSrunDoesNotUse) {
  LaunchFacts facts{.under_slurm = true};
  facts.slurm = {.job = 17, .cpus = 2, .components = 2, .components_cpus = 6};
  const std::string text = diagnosis({{node(2)}, {rank({0}), rank({1})}, facts});
  EXPECT_THAT(text, HasSubstr("2 components with 6 CPUs, of which srun has 2"));
  EXPECT_THAT(text, HasSubstr("srun --mpi=pmix --het-group=0-1 PROGRAM"));
  facts.slurm.components_cpus = 2;
  EXPECT_THAT(diagnosis({{node(2)}, {rank({0}), rank({1})}, facts}), IsEmpty());
  facts.slurm.components_cpus = 0; // not told
  EXPECT_THAT(diagnosis({{node(2)}, {rank({0}), rank({1})}, facts}), IsEmpty());
}

TEST(Doctor, FindsSrunAroundMpirun) {
  LaunchFacts facts{.under_mpirun = true, .under_slurm = true};
  facts.slurm = {.job = 17, .cpus = 4, .tasks_around_mpirun = 4};
  const auto text = [&facts] { return diagnosis({{node(2)}, {rank({0}), rank({1})}, facts}); };
  EXPECT_THAT(text(), HasSubstr("warning: srun has started mpirun itself 4 times"));
  EXPECT_EQ(text().find("idle"), std::string::npos) << "one mend for both:\n" << text();
  facts.slurm.tasks_around_mpirun = 1;
  EXPECT_THAT(text(), HasSubstr("warning: mpirun is in a step of srun, and has no more than that: "
                                "2 workers for the 4 CPUs of the Slurm job"));
  EXPECT_EQ(text().find("idle"), std::string::npos) << "one mend for both:\n" << text();
  facts.slurm.cpus = 2; // srun --pty bash, for one
  EXPECT_THAT(text(), IsEmpty());
  facts.slurm.cpus = 8; // srun -c 8 --pty bash, and fewer ranks on purpose
  facts.slurm_cpus_per_task = 8;
  EXPECT_THAT(text(), ::testing::AllOf(HasSubstr("the others are idle"),
                                       ::testing::Not(HasSubstr("in a step of srun"))));
}

TEST(Doctor, FindsTooLittleMemoryAndTime) {
  LaunchFacts facts{.under_mpirun = true, .under_slurm = true};
  facts.slurm = {.job = 17, .memory_mib = 1000};
  const Layout layout({node(2)}, {rank({0}), rank({1})}, facts);
  const auto found = [&](double mib, std::optional<std::int64_t> left_s) {
    return described(findings(layout, {mib * 1024 * 1024, left_s}));
  };
  EXPECT_THAT(found(1000, 120), IsEmpty());
  EXPECT_THAT(found(1000.1, {}), HasSubstr("warning: the root will hold up to 1001 MiB, and Slurm "
                                           "gives its node 1000 MiB"));
  EXPECT_THAT(found(1000.1, {}), HasSubstr("sbatch --mem=2002M"));
  EXPECT_THAT(found(0, 119), HasSubstr("warning: Slurm ends this job in 119 s"));
  EXPECT_THAT(found(0, -3), HasSubstr("in 0 s"));
}

TEST(Doctor, SpeaksOfSrunUnderSrun) {
  const std::string text = diagnosis({{node(4)}, {rank({0}, 2), rank({1}, 2)}, by_srun});
  EXPECT_THAT(text, HasSubstr("srun --mpi=pmix -n 2 --cpus-per-task=2 --cpu-bind=cores PROGRAM"));
}

TEST(Doctor, SpeaksOfRanksANodeOnSeveralNodes) {
  const std::string text =
      diagnosis({{node(4, "n1"), node(4, "n2")}, {rank({0}, 2), rank({0}, 2, 1)}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("mpirun -q -n 2 --map-by ppr:1:node:PE=2 --bind-to core PROGRAM"));
}

TEST(Doctor, FindsUnlikeNodes) {
  NodePlace other = node(4, "n3");
  other.cpu_model = "Another CPU";
  const std::string text =
      diagnosis({{node(4, "n1"), node(4, "n2"), other},
                 {rank(first_cores(4), 4), rank(first_cores(4), 4, 1), rank(first_cores(4), 4, 2)},
                 by_mpirun});
  EXPECT_THAT(text, HasSubstr("the nodes are of 2 kinds"));
  EXPECT_THAT(text, HasSubstr("--host n1:4,n2:4 PROGRAM"));
}

TEST(Doctor, FindsAQuotaBelowTheCores) {
  NodePlace place = node(4);
  place.quota_cpus = 1.5;
  const std::string within = diagnosis({{place}, {rank(first_cores(4), 1)}, {}});
  EXPECT_THAT(within, HasSubstr("note: a cgroup quota gives n1 1.5 CPUs of its 4 cores"));
  EXPECT_THAT(within, HasSubstr("docker run --cpus=4"));
  const std::string beyond = diagnosis({{place}, {rank(first_cores(4), 3)}, {}});
  EXPECT_THAT(beyond, HasSubstr("warning: a cgroup quota gives n1 1.5 CPUs"));
  EXPECT_EQ(beyond.find("take turns"), std::string::npos) << "one cause, one finding";
}

TEST(Doctor, FindsForeignThreadPools) {
  const LaunchFacts facts{.under_mpirun = true, .openmp_threads = 2, .openblas_threads = 1};
  const std::string text = diagnosis({{node(2)}, {rank({0}), rank({1})}, facts});
  EXPECT_THAT(text, HasSubstr("OMP_NUM_THREADS=2 in each of 2 workers makes 4 threads on 2 cores"));
  EXPECT_THAT(text, HasSubstr("export OMP_NUM_THREADS=1"));
  EXPECT_EQ(text.find("OPENBLAS"), std::string::npos);
}

TEST(Doctor, FindsASmallSharedMemory) {
  NodePlace place = node(2);
  place.shm_bytes = std::uint64_t{63} << 20;
  const std::string text = diagnosis({{place}, {rank({0}), rank({1})}, by_mpirun});
  EXPECT_THAT(text, HasSubstr("note: /dev/shm of n1 has 63 MiB free"));
  EXPECT_THAT(text, HasSubstr("--shm-size"));
}

TEST(Doctor, PutsWarningsFirst) {
  NodePlace place = node(2);
  place.shm_bytes = 0;
  const auto found = findings({{place}, {rank({0, 1}, 4)}, {}});
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found.front().severity, Finding::Severity::warning);
  EXPECT_EQ(found.back().severity, Finding::Severity::note);
  for (const Finding& each : found)
    EXPECT_FALSE(each.mend.empty()) << each.what;
}

} // namespace
} // namespace cleave
