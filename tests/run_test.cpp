#include "cleave/pool.hpp"
#include "cleave/run.hpp"
#include "cleave/session.hpp"
#include "cleave/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// n squares; the parameter `verdict` says what its check finds.
class Probe : public Job {
public:
  explicit Probe(const Values& values)
      : n_(values.integer("n")), wait_(values.integer("wait_ms")), verdict_(values.text("verdict")),
        output_(values.file("output")) {}
  [[nodiscard]] std::int64_t tasks() const override { return n_; }
  [[nodiscard]] double work() const override { return 2e6 * static_cast<double>(n_); }
  [[nodiscard]] std::string unit() const override { return "operations"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override { return {"Mop/s", 1e-6}; }
  void run(Pool& pool) override {
    values_ = pool.map(
        [wait = wait_](std::int64_t i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(wait));
          return i * i;
        },
        n_);
    ++runs_;
  }
  [[nodiscard]] std::string standing() const override {
    return std::to_string(runs_) + " runs so far";
  }
  [[nodiscard]] Verdict check() override {
    if (verdict_ == "none")
      return {};
    return {verdict_ == "ok" ? Verify::ok : Verify::failed, "looked at"};
  }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(values_));
  }
  [[nodiscard]] Summary summary() const override { return {{"values", values_}}; }
  void write_outputs() override {
    if (output_.empty())
      return;
    if (verdict_ == "ok" && output_.extension() == ".full")
      throw Error(ErrorKind::io, "no space left", {output_.string(), 0, ""});
    std::ofstream(output_) << values_.size();
  }

private:
  std::int64_t n_;
  std::int64_t wait_;
  std::string verdict_;
  fs::path output_;
  std::vector<std::int64_t> values_;
  int runs_ = 0;
};

std::vector<Workload> workloads() {
  Workload probe;
  probe.name = "probe";
  probe.parameters = {
      {"n", "", ParameterType::integer, "5", false, "", 0, 1e6, {}},
      {"wait_ms", "", ParameterType::integer, "0", false, "ms", 0, 1e6, {}},
      {"verdict", "", ParameterType::text, "ok", false, "", 0, 0, {"ok", "failed", "none"}},
      {"output", "", ParameterType::output_file, "", false, "", 0, 0, {}},
      {"input", "", ParameterType::input_file, "", false, "", 0, 0, {}}};
  probe.prepare = [](const Values& values, Pool&) { return std::make_unique<Probe>(values); };
  return {probe};
}

class Run : public testing::Test {
protected:
  // A folder that all ranks know and root makes.
  void SetUp() override {
    const char* const tmp = std::getenv("TMPDIR");
    folder_ =
        fs::path(tmp != nullptr ? tmp : "/tmp") / ("run_test." + std::to_string(comm_.size()));
    if (comm_.is_root()) {
      fs::remove_all(folder_);
      fs::create_directories(folder_);
    }
    comm_.barrier();
    plan_.workload = "probe";
    plan_.threads = 1;
    plan_.timings = folder_ / "t.h5";
  }
  void TearDown() override {
    comm_.barrier();
    if (comm_.is_root())
      fs::remove_all(folder_);
  }

  void give(const std::string& key, const std::string& text) {
    plan_.parameters[key] = {text, {"", 0, key}, {}};
  }
  RunReport run(const Observer& observer = {}) {
    return cleave::run(comm_, plan_, workloads(), observer);
  }
  // What every rank is told; all ranks make the same call.
  std::string refusal() {
    try {
      (void)run();
      return "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.what();
    }
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  Comm comm_{MPI_COMM_WORLD};
  fs::path folder_;
  Plan plan_;
};

TEST_F(Run, ReportsAndRecordsEveryRepetition) {
  plan_.repetitions = 7;
  plan_.warm_ups = 2;
  const RunReport report = run();
  EXPECT_EQ(report.status, 0);
  if (!comm_.is_root())
    return;
  EXPECT_TRUE(report.verified());
  EXPECT_EQ(report.stopped_by, "repetitions");
  EXPECT_EQ(report.timings.run.size(), 7U);
  EXPECT_EQ(report.timings.warm_up.size(), 2U);
  EXPECT_TRUE(report.interval_s.has_value());
  EXPECT_DOUBLE_EQ(report.rate.value_or(0), 10 / report.median_s);
  EXPECT_EQ(report.rate_unit, "Mop/s");
  EXPECT_THAT(std::get<std::vector<std::int64_t>>(report.result.at(0).value),
              ElementsAre(0, 1, 4, 9, 16));
  EXPECT_THAT(files(), ElementsAre("t.h5"));
  const Timings stored = read_timings(report.timings_file);
  EXPECT_EQ(stored.run.size(), 7U);
  EXPECT_EQ(stored.warm_up.size(), 2U);
  EXPECT_EQ(stored.run[3].wall_s, report.timings.run[3].wall_s);
  EXPECT_EQ(stored.run[3].checksum, report.checksum);
  EXPECT_EQ(stored.run[3].verify, Verify::ok);
  EXPECT_EQ(stored.info.ranks, comm_.size());
  EXPECT_EQ(stored.info.work_unit, "operations");
  EXPECT_EQ(stored.info.config_hash.size(), 16U);
  std::uint64_t tasks = 0;
  for (const RankTimes& rank : stored.run[0].ranks)
    tasks += rank.tasks_done;
  EXPECT_EQ(tasks, 5U);
}

TEST_F(Run, TheObserverIsToldOnRootAlone) {
  int starts = 0;
  std::vector<int> repetitions;
  double last_fraction = -1;
  Observer observer;
  observer.on_start = [&](const RunStart& start) {
    ++starts;
    EXPECT_EQ(start.tasks, 5);
    EXPECT_EQ(start.layout.ranks().size(), static_cast<std::size_t>(comm_.size()));
    EXPECT_THAT(start.files, ElementsAre(folder_ / "t.h5"));
  };
  std::string standing;
  observer.on_progress = [&](const Progress& progress) {
    last_fraction = progress.fraction;
    standing = progress.standing;
  };
  observer.on_repetition = [&](const Repetition&, int index, bool warm_up) {
    repetitions.push_back(warm_up ? -1 - index : index);
  };
  plan_.repetitions = 2;
  plan_.warm_ups = 1;
  (void)run(observer);
  if (comm_.is_root()) {
    EXPECT_EQ(starts, 1);
    EXPECT_THAT(repetitions, ElementsAre(-1, 0, 1));
    EXPECT_GE(last_fraction, 0);
    EXPECT_EQ(standing, "2 runs so far"); // what the job said in the third
  } else {
    EXPECT_EQ(starts, 0);
    EXPECT_TRUE(repetitions.empty());
    EXPECT_EQ(last_fraction, -1);
  }
}

TEST_F(Run, AWrongAnswerStopsTheRunWithoutASpeed) {
  give("verdict", "failed");
  give("output", folder_ / "out");
  plan_.repetitions = 3;
  const RunReport report = run();
  EXPECT_EQ(report.status, 3);
  if (!comm_.is_root())
    return;
  EXPECT_EQ(report.timings.run.size(), 1U);
  EXPECT_FALSE(report.rate.has_value());
  EXPECT_TRUE(std::isnan(report.median_s));
  EXPECT_EQ(report.errors.at(0).kind(), ErrorKind::wrong_answer);
  EXPECT_THAT(files(), ElementsAre("t.h5"));
  const Timings stored = read_timings(report.timings_file);
  EXPECT_EQ(stored.run.at(0).state, RepState::wrong_answer);
  EXPECT_TRUE(std::isnan(stored.run.at(0).wall_s));
}

TEST_F(Run, AnUncheckedAnswerHasNoRate) {
  give("verdict", "none");
  const RunReport report = run();
  EXPECT_EQ(report.status, 0);
  EXPECT_FALSE(report.rate.has_value());
  EXPECT_FALSE(report.verified());
}

TEST_F(Run, AFileThatCannotBeWrittenComesAfterTheAnswer) {
  give("output", folder_ / "out.full");
  const RunReport report = run();
  EXPECT_EQ(report.status, 3);
  if (!comm_.is_root())
    return;
  EXPECT_TRUE(report.verified() && report.rate.has_value());
  EXPECT_THAT(report.errors.at(0).what(), HasSubstr("no space left"));
  EXPECT_EQ(report.result.size(), 1U);
}

TEST_F(Run, ABudgetEndsItForAllRanks) {
  give("n", "1");
  give("wait_ms", "20");
  plan_.repetitions = 1'000;
  plan_.budget_s = 0.1;
  const RunReport report = run();
  EXPECT_EQ(report.status, 0);
  if (comm_.is_root()) {
    EXPECT_EQ(report.stopped_by, "budget");
    EXPECT_GE(report.timings.run.size(), 2U);
    EXPECT_LE(report.timings.run.size(), 6U);
  }
}

TEST_F(Run, ADryRunWritesNothing) {
  plan_.dry_run = true;
  const RunReport report = run();
  EXPECT_TRUE(report.dry_run);
  EXPECT_EQ(report.status, 0);
  EXPECT_TRUE(files().empty());
}

TEST_F(Run, BadInputIsToldOnEveryRankAndNothingIsWritten) {
  give("n", "-1");
  EXPECT_THAT(refusal(), HasSubstr("n: must be 0 to 1e6"));
  give("n", "5");
  plan_.timings = folder_ / "missing" / "t.h5";
  EXPECT_THAT(refusal(), HasSubstr("missing"));
  plan_.timings = folder_ / "t.h5";
  plan_.result = folder_ / "r.txt";
  EXPECT_THAT(refusal(), HasSubstr("r.txt"));
  plan_.result = folder_ / "." / "t.h5";
  EXPECT_THAT(refusal(), AllOf(HasSubstr("--result"), HasSubstr("give each its own file")));
  plan_.result.clear();
  plan_.simd = "abacus";
  EXPECT_THAT(refusal(), HasSubstr("--simd"));
  plan_.simd.clear();
  plan_.workload = "prob";
  EXPECT_THAT(refusal(), HasSubstr("did you mean \"probe\"?"));
  comm_.barrier();
  EXPECT_TRUE(files().empty());
}

TEST_F(Run, ExistingFilesNeedForce) {
  (void)run();
  EXPECT_THAT(refusal(), HasSubstr("t.h5"));
  plan_.force = true;
  give("n", "3");
  EXPECT_EQ(run().status, 0);
  comm_.barrier();
  EXPECT_EQ(read_timings(plan_.timings).info.tasks, 3);
}

TEST_F(Run, WhatIsReadIsNeverOverwrittenUnderWhateverName) {
  if (comm_.is_root()) {
    for (const char* name : {"job.toml", "t.progress", "in"})
      std::ofstream(folder_ / name) << "precious";
    fs::create_symlink("job.toml", folder_ / "link");
    fs::create_hard_link(folder_ / "in", folder_ / "hard");
    fs::create_directory_symlink(".", folder_ / "here");
  }
  comm_.barrier();
  plan_.force = true;
  plan_.job_file = {folder_ / "job.toml", "precious"};
  for (const char* name : {"job.toml", "./job.toml", "here/job.toml", "link"}) {
    give("output", folder_ / name);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(name), HasSubstr("would overwrite the job file")));
  }
  give("input", folder_ / "in");
  for (const char* name : {"in", "here/in", "hard"}) {
    give("output", folder_ / name);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(name), HasSubstr("would overwrite the input")));
  }
  give("output", folder_ / "here" / "t.h5"); // neither of the two exists
  EXPECT_THAT(refusal(), HasSubstr("output: is also what -o names"));
  give("output", "");
  plan_.job_file.file = folder_ / "t.progress";
  EXPECT_THAT(refusal(), AllOf(HasSubstr("t.progress"), HasSubstr("the job file")));
  comm_.barrier();
  EXPECT_THAT(files(), ElementsAre("hard", "here", "in", "job.toml", "link", "t.progress"));
  std::string text;
  std::getline(std::ifstream(folder_ / "job.toml"), text);
  EXPECT_EQ(text, "precious");
}

TEST_F(Run, AnObserverThatCannotBeToldOfTheStartEndsTheRun) {
  Observer observer;
  observer.on_start = [](const RunStart&) { throw Error(ErrorKind::io, "nobody listens"); };
  for (const bool force : {false, true}) {
    plan_.force = force;
    try {
      (void)run(observer);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
    }
    comm_.barrier();
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(Run, ATraceHoldsEveryTask) {
  plan_.trace = true;
  plan_.schedule = Schedule(Technique::cyclic, 2);
  const RunReport report = run();
  EXPECT_EQ(report.status, 0);
  if (comm_.is_root()) {
    EXPECT_THAT(files(), ElementsAre("t.h5", "t.trace.h5"));
  }
}

TEST_F(Run, TheSameConfigurationHasTheSameHash) {
  give("n", "1e1");
  const std::string first = run().timings.info.config_hash;
  plan_.force = true;
  give("n", "10");
  EXPECT_EQ(run().timings.info.config_hash, first);
  give("n", "11");
  const std::string other = run().timings.info.config_hash;
  if (comm_.is_root()) {
    EXPECT_NE(other, first);
  }
}

} // namespace
} // namespace cleave
