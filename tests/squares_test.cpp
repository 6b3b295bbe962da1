// The workload `squares` in several splits, and who computed what.
#include "job_run.hpp"
#include "jobs/squares.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

cleave::Workload squares_workload();

namespace cleave {
namespace {

using cleave::testing::Answer;
using cleave::testing::run_job;
using cleave::testing::splits;
using ::testing::HasSubstr;

const std::vector<std::int64_t>& values(const Answer& answer) {
  return std::get<std::vector<std::int64_t>>(answer.summary.at(0).value);
}

TEST(SquaresCheck, FailsOnAnythingWrong) {
  const auto verify = [](std::int64_t n, const std::vector<std::int64_t>& values) {
    return squares::check(n, values).verify;
  };
  EXPECT_EQ(verify(0, {}), Verify::ok);
  EXPECT_EQ(verify(1, {0}), Verify::ok);
  EXPECT_EQ(verify(4, {0, 1, 4, 9}), Verify::ok);
  EXPECT_EQ(verify(4, {}), Verify::failed);
  EXPECT_EQ(verify(4, {0, 1, 4}), Verify::failed);
  EXPECT_EQ(verify(4, {0, 0, 0, 0}), Verify::failed);
  EXPECT_EQ(verify(4, {1, 2, 5, 10}), Verify::failed);
  EXPECT_EQ(verify(4, {0, 4, 1, 9}), Verify::failed);
  EXPECT_EQ(verify(4, {0, 1, 4, 8}), Verify::failed);
}

TEST(SquaresJob, GivesTheSquaresInOrder) {
  const Answer answer = run_job(squares_workload(), {});
  EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
  EXPECT_EQ(answer.summary.at(0).name, "values");
  EXPECT_EQ(values(answer), (std::vector<std::int64_t>{0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121,
                                                       144, 169, 196, 225}));
}

TEST(SquaresJob, IsTheSameBytesInEverySplit) {
  for (const std::string n : {"0", "1", "2", "1000"}) {
    const Answer one = run_job(squares_workload(), {{"n", n}});
    EXPECT_EQ(one.bytes.size(), sizeof(std::int64_t) * std::stoul(n));
    for (const auto& split : splits()) {
      const Answer answer = run_job(squares_workload(), {{"n", n}}, split);
      EXPECT_EQ(answer.verdict.verify, Verify::ok) << answer.verdict.how;
      EXPECT_EQ(answer.bytes, one.bytes) << n << ": " << split.ranks << " x " << split.threads;
    }
  }
}

TEST(SquaresJob, SaysWhoComputedWhat) {
  const Answer answer = run_job(squares_workload(), {{"n", "8"}}, {.ranks = 2});
  ASSERT_EQ(answer.details.size(), 2);
  const std::string pid = "(pid " + std::to_string(getpid()) + ")";
  EXPECT_THAT(answer.details[0], HasSubstr("rank 0 thread 0 on "));
  EXPECT_THAT(answer.details[0], HasSubstr(pid + ": 4 tasks: 0-3"));
  EXPECT_THAT(answer.details[1], HasSubstr(pid + ": 4 tasks: 4-7"));
}

TEST(SquaresJob, SaysItInFewLinesHoweverManyTasks) {
  const Answer answer = run_job(squares_workload(), {{"n", "100000"}},
                                {.ranks = 2, .threads = 1, .schedule = "cyclic"});
  ASSERT_EQ(answer.details.size(), 2);
  for (const std::string& line : answer.details)
    EXPECT_LT(line.size(), 200) << line;
  EXPECT_THAT(answer.details[1], HasSubstr("50000 tasks: 1 3 5 7 9 11 13 15 ..."));
}

TEST(SquaresJob, WaitsInEveryTask) {
  const auto start = std::chrono::steady_clock::now();
  run_job(squares_workload(), {{"n", "6"}, {"sleep_ms", "20"}}, {.ranks = 1, .threads = 3});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_GE(taken.count(), 0.040);
}

TEST(SquaresJob, RefusesWhatIsOutOfRange) {
  using Given = std::map<std::string, std::string>;
  for (const Given& given : {Given{{"n", "-1"}},
                             {{"n", "1e10"}},
                             {{"n", "2.5"}},
                             {{"n", "x"}},
                             {{"sleep_ms", "-1"}},
                             {{"sleep_ms", "nan"}},
                             {{"m", "1"}}})
    EXPECT_THROW(static_cast<void>(cleave::testing::values_of(squares_workload(), given)), Error)
        << given.begin()->first << "=" << given.begin()->second;
}

} // namespace
} // namespace cleave
