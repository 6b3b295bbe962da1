// Exact sums of squares: the kernel against the closed form, and the workload in several splits.
#include "cleave/simd.hpp"
#include "job_run.hpp"
#include "jobs/sum_squares.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <variant>
#include <vector>

cleave::Workload sum_squares_workload();

namespace cleave::sum_squares {
namespace {

using cleave::testing::Answer;
using cleave::testing::run_job;
using cleave::testing::splits;

Uint128 between(std::int64_t first, std::int64_t last) {
  return closed_form(last) - closed_form(first);
}

const std::vector<std::string>& sums(const Answer& answer) {
  return std::get<std::vector<std::string>>(answer.summary.at(0).value);
}

TEST(ClosedForm, AgreesWithTheLoopAndIsExactAtTheLimit) {
  Uint128 sum = 0;
  for (std::int64_t n = 0; n <= 1000; ++n) {
    EXPECT_EQ(closed_form(n), sum);
    sum += static_cast<Uint128>(n) * static_cast<Uint128>(n);
  }
  EXPECT_EQ(decimal(closed_form(max_n)), "333333333332833333333333500000000000");
}

TEST(Decimal, WritesAllDigits) {
  EXPECT_EQ(decimal(0), "0");
  EXPECT_EQ(decimal(7), "7");
  EXPECT_EQ(decimal(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(decimal(~Uint128{0}), "340282366920938463463374607431768211455");
}

class SumOfSquares : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override { limit_target(GetParam()); }
  void TearDown() override { limit_target({}); }
};

TEST_P(SumOfSquares, IsExactForEveryLengthAndPlace) {
  for (const std::int64_t first : {std::int64_t{0}, std::int64_t{1}, (std::int64_t{1} << 20) - 3,
                                   (std::int64_t{1} << 32) - 5, max_n - 70'000})
    for (const std::int64_t length : {0, 1, 2, 7, 8, 9, 100, 65'535, 65'536, 70'000})
      EXPECT_EQ(sum_of_squares(first, first + length), between(first, first + length))
          << first << " + " << length;
}

// More numbers than a lane's 64 bits can add up, of the largest size.
TEST_P(SumOfSquares, DoesNotOverflowItsLanes) {
  EXPECT_EQ(sum_of_squares(max_n - 33'000'001, max_n), between(max_n - 33'000'001, max_n));
}

INSTANTIATE_TEST_SUITE_P(Target, SumOfSquares, ::testing::ValuesIn(simd_targets()),
                         [](const auto& test) { return test.param; });

TEST(SumSquaresCheck, FailsOnAnythingWrong) {
  const auto verify = [](const std::vector<Uint128>& sums) {
    return check(std::vector<std::int64_t>{2, 4}, sums).verify;
  };
  EXPECT_EQ(verify({1, 14}), Verify::ok);
  EXPECT_EQ(verify({}), Verify::failed);
  EXPECT_EQ(verify({1}), Verify::failed);
  EXPECT_EQ(verify({1, 14, 14}), Verify::failed);
  EXPECT_EQ(verify({14, 1}), Verify::failed);
  EXPECT_EQ(verify({1, 14 + (Uint128{1} << 64)}), Verify::failed);
}

TEST(SumSquaresJob, GivesTheKnownSums) {
  const Answer answer = run_job(sum_squares_workload(), {});
  EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
  EXPECT_EQ(answer.work, 6e6);
  EXPECT_EQ(sums(answer), (std::vector<std::string>{"333332833333500000", "2666664666667000000",
                                                    "8999995500000500000"}));
}

TEST(SumSquaresJob, IsExactBeyond64Bits) {
  const Answer answer = run_job(sum_squares_workload(), {{"n", "5e8"}}, {.ranks = 2});
  EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
  EXPECT_EQ(sums(answer).at(0), "41666666541666666750000000");
}

TEST(SumSquaresJob, IsTheSameBytesInEverySplit) {
  const std::map<std::string, std::string> given = {{"n", "0,1,2,65536,65537,5e6"}};
  const Answer one = run_job(sum_squares_workload(), given);
  EXPECT_EQ(sums(one), (std::vector<std::string>{"0", "0", "1", "93822844764160", "93827139731456",
                                                 "41666654166667500000"}));
  for (const auto& split : splits()) {
    const Answer answer = run_job(sum_squares_workload(), given, split);
    EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
    EXPECT_EQ(answer.bytes, one.bytes) << split.ranks << " x " << split.threads;
  }
}

TEST(SumSquaresJob, RefusesWhatIsOutOfRange) {
  for (const std::string text : {"-1", "1000000000001", "1.5", "nan", "1e13", "ten", "1e6,,2"})
    EXPECT_THROW(
        static_cast<void>(cleave::testing::values_of(sum_squares_workload(), {{"n", text}})), Error)
        << text;
}

} // namespace
} // namespace cleave::sum_squares
