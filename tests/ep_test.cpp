// The EP kernel against the published values and a plain loop, and the workload in several splits.
#include "bench/ep_plain.hpp"
#include "cleave/simd.hpp"
#include "job_run.hpp"
#include "jobs/ep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <variant>
#include <vector>

cleave::Workload ep_workload();

namespace cleave::ep {
namespace {

using cleave::testing::run_job;
using cleave::testing::splits;
using ::testing::HasSubstr;

constexpr std::int64_t pairs_of_s = std::int64_t{1} << 24;

// With every instruction set of this machine in turn.
class EpKernel : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override { limit_target(GetParam()); }
  void TearDown() override { limit_target({}); }
};

void expect_close(const Sums& sums, const Sums& expected, double tolerance) {
  EXPECT_EQ(sums.counts, expected.counts);
  EXPECT_EQ(sums.accepted, expected.accepted);
  EXPECT_NEAR(sums.x, expected.x, tolerance);
  EXPECT_NEAR(sums.y, expected.y, tolerance);
}

TEST_P(EpKernel, GivesThePublishedClassS) {
  const Sums sums = sums_of_pairs(0, pairs_of_s);
  EXPECT_EQ(check("S", sums).verify, Verify::ok) << check("S", sums).how;
  EXPECT_EQ(sums.accepted, 13'176'389);
  EXPECT_NEAR(sums.x / -3.247834652034740e+3, 1, 1e-12);
  EXPECT_NEAR(sums.y / -6.958407078382297e+3, 1, 1e-12);
}

TEST_P(EpKernel, AgreesWithThePlainLoopAnywhereInTheSequence) {
  std::mt19937_64 random(7);
  std::vector<std::int64_t> firsts = {0, 1, 12'345, (std::int64_t{1} << 45) - batch_pairs};
  while (firsts.size() < 12)
    firsts.push_back(static_cast<std::int64_t>(random() >> 20));
  for (const std::int64_t first : firsts)
    expect_close(sums_of_pairs(first, batch_pairs), bench::plain_sums_of_pairs(first, batch_pairs),
                 1e-10);
}

TEST_P(EpKernel, IsTheSumOfItsBatchesInAnyOrderAndSplit) {
  constexpr std::int64_t batches = 12;
  const Sums whole = sums_of_pairs(0, batches * batch_pairs);
  std::vector<std::int64_t> order(batches);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  Sums shuffled;
  for (const std::int64_t batch : order)
    shuffled += sums_of_pairs(batch * batch_pairs, batch_pairs);
  expect_close(shuffled, whole, 1e-9);
  for (std::int64_t cut = 0; cut <= batches; ++cut) {
    Sums two = sums_of_pairs(0, cut * batch_pairs);
    two += sums_of_pairs(cut * batch_pairs, (batches - cut) * batch_pairs);
    expect_close(two, whole, 1e-9);
  }
}

TEST_P(EpKernel, GivesTheSameBitsEachTime) {
  EXPECT_EQ(sums_of_pairs(batch_pairs, batch_pairs), sums_of_pairs(batch_pairs, batch_pairs));
}

INSTANTIATE_TEST_SUITE_P(Target, EpKernel, ::testing::ValuesIn(simd_targets()),
                         [](const auto& test) { return test.param; });

TEST(EpCheck, FailsOnAnythingWrong) {
  const Sums right = sums_of_pairs(0, pairs_of_s);
  EXPECT_EQ(check("S", right).verify, Verify::ok);
  std::vector<Sums> wrong(6, right);
  wrong[0].x *= 1 + 2e-8;
  wrong[1].y *= 1 - 2e-8;
  wrong[2].x = std::numeric_limits<double>::quiet_NaN();
  ++wrong[3].counts[5];
  ++wrong[4].accepted;
  wrong[5] = Sums{};
  for (const Sums& sums : wrong)
    EXPECT_EQ(check("S", sums).verify, Verify::failed) << check("S", sums).how;
  Sums swapped = right; // the same total, but not the published counts
  ++swapped.counts[6];
  --swapped.counts[0];
  EXPECT_EQ(check("S", swapped).verify, Verify::failed);
  for (const char* other : {"W", "A", "B", "C", "D", "E"})
    EXPECT_EQ(check(other, right).verify, Verify::failed) << other;
}

TEST(EpJob, IsVerifiedAndTheSameBytesInEverySplit) {
  const auto one = run_job(ep_workload(), {{"class", "S"}});
  EXPECT_EQ(one.verdict.verify, Verify::ok) << one.verdict.how;
  EXPECT_EQ(one.tasks, 256);
  EXPECT_EQ(one.leaves, 128);
  EXPECT_EQ(one.work, std::ldexp(1, 25));
  EXPECT_EQ(one.bytes.size(), sizeof(Sums));
  for (const auto& split : splits()) {
    const auto answer = run_job(ep_workload(), {{"class", "S"}}, split);
    EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
    EXPECT_EQ(answer.bytes, one.bytes) << split.ranks << " x " << split.threads;
  }
}

TEST(EpJob, TellsSumsAndCounts) {
  const auto answer = run_job(ep_workload(), {});
  ASSERT_EQ(answer.summary.size(), 3);
  EXPECT_EQ(answer.summary[0].name, "sx");
  EXPECT_NEAR(std::get<double>(answer.summary[0].value), -3.247834652034740e+3, 1e-8);
  EXPECT_EQ(answer.summary[1].name, "sy");
  EXPECT_NEAR(std::get<double>(answer.summary[1].value), -6.958407078382297e+3, 1e-8);
  EXPECT_EQ(answer.summary[2].name, "counts");
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(answer.summary[2].value),
            (std::vector<std::int64_t>{6140517, 5865300, 1100361, 68546, 1648, 17, 0, 0, 0, 0}));
}

TEST(EpJob, RefusesUnknownClassesAndKeys) {
  for (const std::map<std::string, std::string>& given :
       {std::map<std::string, std::string>{{"class", "F"}}, {{"class", ""}}, {{"size", "S"}}})
    try {
      static_cast<void>(cleave::testing::values_of(ep_workload(), given));
      ADD_FAILURE() << given.begin()->first << "=" << given.begin()->second;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_EQ(error.place().key, given.begin()->first);
    }
}

} // namespace
} // namespace cleave::ep
