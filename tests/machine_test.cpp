#include "machine.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <map>

namespace cleave {
namespace {

/// A file system of texts.
ReadText files(std::map<std::string, std::string> texts) {
  return [texts = std::move(texts)](const std::string& path) {
    const auto found = texts.find(path);
    return found == texts.end() ? std::string() : found->second;
  };
}

const std::string unified_mount =
    "25 1 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

double quota_v2(const std::string& group, std::map<std::string, std::string> limits) {
  limits["/proc/self/cgroup"] = "0::" + group + '\n';
  limits["/proc/self/mountinfo"] = "24 1 0:22 / /proc rw - proc proc rw\n" + unified_mount;
  return quota_cpus(files(limits));
}

TEST(Quota, IsNoneWhereNothingIsSaid) {
  EXPECT_EQ(quota_cpus(files({})), 0);
  EXPECT_EQ(quota_v2("/", {}), 0);
  EXPECT_EQ(quota_v2("/a", {{"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}}), 0);
  EXPECT_EQ(quota_v2("/a", {{"/sys/fs/cgroup/a/cpu.max", "nonsense"}}), 0);
}

TEST(Quota, ReadsVersion2) {
  EXPECT_EQ(quota_v2("/a", {{"/sys/fs/cgroup/a/cpu.max", "150000 100000\n"}}), 1.5);
  EXPECT_EQ(quota_v2("/", {{"/sys/fs/cgroup/cpu.max", "20000 10000\n"}}), 2);
}

TEST(Quota, IsTheLeastOfAllGroupsAbove) {
  EXPECT_EQ(quota_v2("/slurm/job/step", {{"/sys/fs/cgroup/slurm/job/step/cpu.max", "max 100000"},
                                         {"/sys/fs/cgroup/slurm/job/cpu.max", "400000 100000"},
                                         {"/sys/fs/cgroup/slurm/cpu.max", "800000 100000"}}),
            4);
  EXPECT_EQ(quota_v2("/a/b", {{"/sys/fs/cgroup/a/b/cpu.max", "400000 100000"},
                              {"/sys/fs/cgroup/a/cpu.max", "100000 100000"}}),
            1);
}

const std::string v1_mounts = "31 1 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
                              "32 1 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
                              "rw,cpu,cpuacct\n"
                              "41 1 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST(Quota, ReadsVersion1) {
  EXPECT_EQ(quota_cpus(files({{"/proc/self/cgroup", "5:cpuset:/x\n2:cpu,cpuacct:/a/b\n0::/\n"},
                              {"/proc/self/mountinfo", v1_mounts},
                              {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
                              {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"},
                              {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n"},
                              {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}})),
            2.5);
}

TEST(Quota, SeesThroughAContainersMount) {
  EXPECT_EQ(quota_cpus(files({{"/proc/self/cgroup", "2:cpu:/docker/4f2a/inner\n"},
                              {"/proc/self/mountinfo", "32 1 0:29 /docker/4f2a /sys/fs/cgroup/cpu "
                                                       "ro master:9 - cgroup cgroup rw,cpu\n"},
                              {"/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "50000"},
                              {"/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000"},
                              {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000"},
                              {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"}})),
            0.5);
}

TEST(CpuModel, IsFoundOnEveryArchitecture) {
  EXPECT_EQ(cpu_model("processor\t: 0\nmodel\t\t: 167\nmodel name\t: Fast CPU @ 3 GHz\n\n"),
            "Fast CPU @ 3 GHz");
  EXPECT_EQ(cpu_model("processor : 0\ncpu : POWER9, altivec\n"), "POWER9, altivec");
  EXPECT_EQ(cpu_model("processor : 0\nModel : Raspberry Pi 4"), "Raspberry Pi 4");
  EXPECT_EQ(cpu_model(""), "unknown");
}

TEST(Machine, KnowsTheCoreOfEveryCpuOfTheMask) {
  const Machine machine = this_machine();
  EXPECT_GE(machine.place.cores, 1);
  EXPECT_GE(machine.place.cpus, machine.place.cores);
  EXPECT_GE(machine.place.cores, machine.place.sockets);
  for (const int cpu : affinity_mask()) {
    const int core = machine.core_of_cpu.at(static_cast<std::size_t>(cpu));
    EXPECT_GE(core, 0);
    EXPECT_LT(core, machine.place.cores);
  }
}

TEST(AffinityMask, FollowsTheKernel) {
  const std::vector<int> before = affinity_mask();
  ASSERT_FALSE(before.empty());
  EXPECT_TRUE(std::ranges::is_sorted(before));
  cpu_set_t whole;
  ASSERT_EQ(sched_getaffinity(0, sizeof whole, &whole), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(before.back()), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(affinity_mask(), std::vector<int>{before.back()});
  ASSERT_EQ(sched_setaffinity(0, sizeof whole, &whole), 0);
}

} // namespace
} // namespace cleave
