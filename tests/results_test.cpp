#include "cleave/compare.hpp"
#include "cleave/error.hpp"
#include "cleave/results.hpp"
#include "cleave/study_table.hpp"
#include "run_sample.hpp"
#include "store_fixture.hpp"

#include <gmock/gmock.h>

#include <set>
#include <vector>

namespace cleave {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SampleRun;
using testing::write_sample;

/// Times around `middle`, spread by 1 %, seven of them.
std::vector<double> around(double middle) {
  std::vector<double> times;
  for (const double part : {-0.01, 0.004, 0.0, 0.01, -0.006, 0.002, -0.002})
    times.push_back(middle * (1 + part));
  return times;
}

SampleRun run_of(int ranks, int threads, double seconds) {
  SampleRun run;
  run.ranks = ranks;
  run.threads = threads;
  run.walls = around(seconds);
  return run;
}

class Folder : public testing::StoreTest {
protected:
  void add(const std::string& name, const SampleRun& run, std::size_t missing = 0) const {
    write_sample(in_folder(name), run, missing);
  }
  Results read() const { return read_results(folder_); }

  std::string refusal() const {
    const Error error = testing::error_of([&] { static_cast<void>(tabulate(read())); });
    return std::string(name(error.kind())) + ": " + error.what();
  }
};

class ReadResults : public Folder {};

TEST_F(ReadResults, JoinsTheFilesOfAPointInTheOrderOfTime) {
  SampleRun late = run_of(2, 1, 1.0);
  late.walls = {3.0, 4.0};
  late.start_utc_s = 2e9;
  SampleRun early = late;
  early.walls = {1.0, 2.0, 9.0};
  early.start_utc_s = 1e9;
  add("a.h5", late);
  add("b.h5", early, 1);
  const Results results = read();
  ASSERT_EQ(results.points.size(), 1U);
  EXPECT_THAT(results.points[0].wall_s(), ElementsAre(1.0, 2.0, 3.0, 4.0));
  EXPECT_EQ(results.points[0].files.size(), 2U);
  EXPECT_EQ(results.points[0].workers, 2);
  EXPECT_EQ(results.points[0].parameters.at("class"), "A");
  EXPECT_TRUE(results.points[0].verified());
  EXPECT_THAT(results.hosts, ElementsAre("node0"));
}

TEST_F(ReadResults, KeepsTheLoadsOfTheMedianRepetition) {
  SampleRun run = run_of(2, 2, 1.0);
  run.walls = {5.0, 1.0, 3.0};
  run.busy = {1.0, 0.5};
  add("a.h5", run);
  const Point point = read().points.at(0);
  ASSERT_EQ(point.loads.size(), 2U);
  EXPECT_DOUBLE_EQ(point.loads[0].busy_s(), 3.0);
  EXPECT_DOUBLE_EQ(point.loads[1].busy_s(), 1.5);
  EXPECT_DOUBLE_EQ(point.samples[0].balance.load_balance, 0.75);
}

TEST_F(ReadResults, CountsWrongAnswersApart) {
  SampleRun run = run_of(1, 1, 1.0);
  run.state = RepState::wrong_answer;
  run.verify = Verify::failed;
  add("a.h5", run);
  const Point point = read().points.at(0);
  EXPECT_EQ(point.wrong, 7);
  EXPECT_THAT(point.samples, IsEmpty());
  EXPECT_FALSE(point.verified());
}

TEST_F(ReadResults, RefusesADirectoryWithoutFiles) {
  testing::write_bytes(in_folder("notes.txt"), "x");
  EXPECT_THAT(refusal(), HasSubstr("no timings files in this directory"));
}

class Table : public Folder {};

TEST_F(Table, ScalesAgainstTheFewestWorkers) {
  add("1.h5", run_of(1, 1, 8.0));
  add("2.h5", run_of(2, 1, 4.4));
  add("4.h5", run_of(2, 2, 2.5));
  const Results results = read();
  const StudyTable table = tabulate(results);
  EXPECT_EQ(table.mode, StudyMode::strong);
  ASSERT_EQ(table.series.size(), 1U);
  const Series& series = table.series[0];
  ASSERT_EQ(series.rows.size(), 3U);
  EXPECT_EQ(series.base, 0U);
  EXPECT_DOUBLE_EQ(series.rows[0].scaling->speedup.value, 1.0);
  EXPECT_FALSE(series.rows[0].scaling->speedup.interval);
  EXPECT_NEAR(series.rows[2].scaling->speedup.value, 3.2, 1e-12);
  EXPECT_NEAR(series.rows[2].scaling->efficiency.value, 0.8, 1e-12);
  EXPECT_NEAR(series.rows[2].scaling->efficiency.interval->lo, 0.8 * 0.99 / 1.01, 1e-12);
  EXPECT_EQ(series.laws.size(), 2U);
}

TEST_F(Table, GivesNoSpeedUpToWhatIsNotVerified) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(2, 1, 4.0);
  run.verify = Verify::not_checked;
  add("2.h5", run);
  const StudyTable table = tabulate(read());
  EXPECT_TRUE(table.series[0].rows[0].scaling);
  EXPECT_FALSE(table.series[0].rows[1].scaling);
}

TEST_F(Table, GivesNoSpeedUpAgainstABaseThatIsNotVerified) {
  SampleRun run = run_of(1, 1, 8.0);
  run.verify = Verify::not_checked;
  add("1.h5", run);
  add("2.h5", run_of(2, 1, 4.0));
  const StudyTable table = tabulate(read());
  EXPECT_FALSE(table.series[0].base);
  EXPECT_FALSE(table.series[0].rows[1].scaling);
}

TEST_F(Table, KeepsParametersApart) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(2, 1, 4.0);
  run.parameters = "class = B\n";
  add("2.h5", run);
  const StudyTable table = tabulate(read());
  ASSERT_EQ(table.series.size(), 2U);
  EXPECT_EQ(table.series[0].label, "class=A");
  EXPECT_EQ(table.series[1].label, "class=B");
}

TEST_F(Table, SaysWhereACoreIsFasterThanTheBase) {
  add("1.h5", run_of(1, 1, 8.0));
  add("2.h5", run_of(2, 1, 3.0));
  EXPECT_TRUE(tabulate(read()).series[0].rows[1].superlinear);
}

TEST_F(Table, LeavesOverSubscribedPointsOutOfTheLaws) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(2, 1, 8.0);
  run.oversubscribed = true;
  add("2.h5", run);
  const StudyTable table = tabulate(read());
  EXPECT_TRUE(table.series[0].rows[1].scaling);
  EXPECT_THAT(table.series[0].laws, IsEmpty());
}

TEST_F(Table, FindsDrift) {
  SampleRun run = run_of(1, 1, 1.0);
  run.walls.clear();
  for (int i = 0; i < 12; ++i)
    run.walls.push_back(1.0 + 0.01 * i);
  add("1.h5", run);
  const StudyTable table = tabulate(read());
  EXPECT_LT(table.drift_p, 1e-6);
  EXPECT_NEAR(table.drift_percent, 100 * 0.08 / 1.055, 1e-9);
}

TEST_F(Table, RefusesSeveralMachines) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(2, 1, 4.0);
  run.cpu_model = "another";
  add("2.h5", run);
  EXPECT_THAT(refusal(), HasSubstr("not_comparable"));
  EXPECT_THAT(refusal(), HasSubstr("cpu_model (another | sample)"));
}

TEST_F(Table, RefusesSeveralWorkloads) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(2, 1, 4.0);
  run.workload = "primes";
  add("2.h5", run);
  EXPECT_THAT(refusal(), HasSubstr("bad_input"));
  EXPECT_THAT(refusal(), HasSubstr("several workloads, ep, primes"));
}

TEST_F(Table, GivesTheSameBytesEachTime) {
  add("1.h5", run_of(1, 1, 8.0));
  add("2.h5", run_of(2, 1, 4.0));
  std::set<std::string> written;
  for (int i = 0; i < 2; ++i) {
    const Results results = read();
    write_study(in_folder("study.h5"), results, tabulate(results));
    written.insert(testing::bytes_of(in_folder("study.h5")));
  }
  EXPECT_EQ(written.size(), 1U);
}

TEST(CompareTimes, IsUndecidedWhereTheRepetitionsAre) {
  const PointComparison same = compare_times(around(1.0), around(1.0005), 0.02);
  EXPECT_EQ(same.change, Change::undecided);
  EXPECT_FALSE(same.beyond);
}

TEST(CompareTimes, FindsWhatIsSlowerOrFaster) {
  const PointComparison slower = compare_times(around(1.0), around(1.015), 0.02);
  EXPECT_EQ(slower.change, Change::slower);
  EXPECT_FALSE(slower.beyond);
  EXPECT_NEAR(slower.shift_s.value, 0.015, 0.003);
  EXPECT_TRUE(compare_times(around(1.0), around(1.1), 0.02).beyond);
  EXPECT_EQ(compare_times(around(1.1), around(1.0), 0.02).change, Change::faster);
}

class Compare : public Folder {};

TEST_F(Compare, SetsSinglePointsOfOneJobAgainstEachOther) {
  add("1.h5", run_of(1, 1, 8.0));
  add("2.h5", run_of(2, 1, 4.0));
  const Comparison comparison =
      compare(read_results(in_folder("1.h5")), read_results(in_folder("2.h5")), 0.02);
  EXPECT_TRUE(comparison.comparable());
  ASSERT_EQ(comparison.points.size(), 1U);
  EXPECT_EQ(comparison.points[0].change, Change::faster);
  ASSERT_EQ(comparison.differences.size(), 1U);
  EXPECT_EQ(comparison.differences[0].fact, "layout");
}

TEST_F(Compare, RefusesAnotherMachine) {
  add("1.h5", run_of(1, 1, 8.0));
  SampleRun run = run_of(1, 1, 8.0);
  run.cpu_model = "another";
  add("2.h5", run);
  const Comparison comparison =
      compare(read_results(in_folder("1.h5")), read_results(in_folder("2.h5")), 0.02);
  EXPECT_FALSE(comparison.comparable());
}

} // namespace
} // namespace cleave
