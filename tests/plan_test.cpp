#include "cleave/run.hpp"
#include "refusals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace cleave {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::parameter;
using testing::refusal;

std::vector<Workload> workloads() {
  Workload sum;
  sum.name = "sum";
  sum.parameters = {
      parameter("n", ParameterType::integer, "10"), parameter("list", ParameterType::integers, "1"),
      parameter("x", ParameterType::real, "0.5"), parameter("mode", ParameterType::text, "fast"),
      parameter("input", ParameterType::input_file, "")};
  Workload other;
  other.name = "other";
  return {sum, other};
}

Plan from_file(const std::string& text, Request request = {}) {
  request.job = "dir/job.toml";
  return make_plan(request, JobText{"dir/job.toml", text}, workloads());
}

std::string file_refusal(const std::string& text) {
  return refusal([&] { (void)from_file(text); });
}

TEST(Plan, DefaultsOfAWorkloadAlone) {
  Request request;
  request.job = "sum";
  const Plan plan = make_plan(request, std::nullopt, workloads());
  EXPECT_EQ(plan.workload, "sum");
  EXPECT_TRUE(plan.parameters.empty());
  EXPECT_EQ(plan.schedule.text(), "auto");
  EXPECT_EQ(plan.threads, 0);
  EXPECT_EQ(plan.warm_ups, 0);
  EXPECT_EQ(plan.repetitions, 1);
  EXPECT_EQ(plan.budget_s, 0);
  EXPECT_TRUE(plan.timings.empty());
  EXPECT_TRUE(plan.result.empty());
  EXPECT_FALSE(plan.trace || plan.force || plan.dry_run);
  EXPECT_EQ(plan.patience_s, 60);
}

TEST(Plan, AJobFileSaysEverything) {
  const Plan plan = from_file(R"(workload = "sum"
schedule = "cyclic,64"
threads = 2
seed = 7
[parameters]
n = 1e6
list = [1, 2e3]
x = 2
mode = "slow"
input = "a.png"
[measure]
warmup = 1
repetitions = 7
budget_s = 2.5
[output]
timings = "t.h5"
result = "/r.json"
trace = true
force = true
)");
  EXPECT_EQ(plan.job_file.file, "dir/job.toml");
  EXPECT_THAT(plan.job_file.text, HasSubstr("[measure]"));
  EXPECT_EQ(plan.schedule.text(), "cyclic,64");
  EXPECT_EQ(plan.threads, 2);
  EXPECT_EQ(plan.seed, 7U);
  EXPECT_EQ(plan.warm_ups, 1);
  EXPECT_EQ(plan.repetitions, 7);
  EXPECT_EQ(plan.budget_s, 2.5);
  EXPECT_EQ(plan.timings, "dir/t.h5");
  EXPECT_EQ(plan.result, "/r.json");
  EXPECT_TRUE(plan.trace && plan.force);
  const Values values(workloads()[0].parameters, plan.parameters);
  EXPECT_EQ(values.integer("n"), 1'000'000);
  EXPECT_THAT(values.integers("list"), ::testing::ElementsAre(1, 2'000));
  EXPECT_EQ(values.real("x"), 2);
  EXPECT_EQ(values.text("mode"), "slow");
  EXPECT_EQ(values.file("input"), "dir/a.png");
}

TEST(Plan, TheCommandLineWins) {
  Request request;
  request.parameters = {"n=6", "input=b.png"};
  request.schedule = "block";
  request.threads = "auto";
  request.repetitions = "3";
  request.timings = "here.h5";
  const Plan plan = from_file(R"(workload = "sum"
schedule = "cyclic"
threads = 2
parameters = { n = 1, x = 0.25 }
measure = { repetitions = 9, warmup = 2 }
output.timings = "t.h5"
)",
                              request);
  EXPECT_EQ(plan.schedule.text(), "block");
  EXPECT_EQ(plan.threads, 0);
  EXPECT_EQ(plan.repetitions, 3);
  EXPECT_EQ(plan.warm_ups, 2);
  EXPECT_EQ(plan.timings, "here.h5");
  const Values values(workloads()[0].parameters, plan.parameters);
  EXPECT_EQ(values.integer("n"), 6);
  EXPECT_EQ(values.real("x"), 0.25);
  EXPECT_EQ(values.file("input"), "b.png");
}

TEST(Plan, ABudgetAloneRepeatsUntilItIsSpent) {
  EXPECT_EQ(from_file("workload = \"sum\"\nmeasure.budget_s = 1\n").repetitions, 1'000);
  EXPECT_EQ(from_file("workload = \"sum\"\nmeasure = {budget_s = 1, repetitions = 5}").repetitions,
            5);
}

TEST(Plan, FileErrorsNameFileLineAndKey) {
  EXPECT_THAT(file_refusal("workload = \"sum\"\nworkloads = 1\n"),
              AllOf(HasSubstr("dir/job.toml:2: workloads: unknown key"),
                    HasSubstr("did you mean \"workload\"?")));
  EXPECT_THAT(file_refusal("workload = \"sum\"\n[measures]\nwarmup = 1\n"),
              AllOf(HasSubstr("dir/job.toml:2: measures: unknown table"), HasSubstr("measure")));
  EXPECT_THAT(file_refusal("workload = \"sum\"\n[measure]\n\nrepetition = 1\n"),
              AllOf(HasSubstr("dir/job.toml:4: repetition: unknown key in [measure]"),
                    HasSubstr("known: warmup, repetitions, budget_s")));
  EXPECT_THAT(file_refusal("workload = \"sum\"\n[parameters]\nm = 1\n"),
              AllOf(HasSubstr("dir/job.toml:3: m: unknown parameter"), HasSubstr("n, list, x")));
  EXPECT_THAT(file_refusal("\nworkload = \"sun\"\n"),
              AllOf(HasSubstr("dir/job.toml:2: workload: unknown workload"),
                    HasSubstr("did you mean \"sum\"?"), HasSubstr("known: sum, other")));
  EXPECT_THAT(file_refusal("threads = 2\n"), HasSubstr("dir/job.toml: workload: missing"));
  EXPECT_THAT(file_refusal(""), HasSubstr("workload: missing"));
}

TEST(Plan, TomlSyntaxErrorsNameTheLine) {
  for (const char* text : {"workload = \"sum\"\nn = = 1\n", "workload = \"sum\"\n[measure\n",
                           "workload = \"sum\"\nworkload = \"sum\"\n", "# a\nworkload = \"sum\n"})
    EXPECT_THAT(file_refusal(text), HasSubstr("dir/job.toml:2: not valid TOML: ")) << text;
}

TEST(Plan, TomlTypesMustFit) {
  const std::string top = "workload = \"sum\"\n";
  const auto expect = [&](const std::string& line, const std::string& message) {
    EXPECT_THAT(file_refusal(top + line), AllOf(HasSubstr("dir/job.toml:2"), HasSubstr(message)))
        << line;
  };
  expect("parameters = {n = \"5\"}", "n: must be a number without quotes, not text");
  expect("parameters = {n = true}", "must be a number without quotes");
  expect("parameters = {n = [1]}", "not a list");
  expect("parameters = {n = 1.5}", "must be a whole number");
  expect("parameters = {n = nan}", "must be a whole number");
  expect("parameters = {x = nan}", "must be a finite number");
  expect("parameters = {n = 1979-05-27}", "not a date");
  expect("parameters = {list = [1, \"2\"]}", "a list of numbers");
  expect("parameters = {mode = 5}", "must be text in quotes, not a number");
  expect("parameters = {n = {a = 1}}", "not a table");
  expect("parameters = 3", "parameters: must be a table, written [parameters]");
  expect("measure = 3", "measure: must be a table");
  expect("schedule = 3", "schedule: must be text in quotes");
  expect("threads = true", "threads: must be");
  expect("threads = 1.5", "threads: must be auto or a whole number");
  expect("threads = 0", "threads: must be auto or a whole number, 1 to 4096");
  expect("schedule = \"blok\"", "schedule: ");
  expect("measure.repetitions = 0", "repetitions: must be 1 to 1e6, not 0");
  expect("measure.warmup = -1", "warmup: must be 0 to");
  expect("measure.budget_s = \"2\"", "budget_s: must be a number without quotes");
  expect("output.trace = 1", "trace: must be true or false");
  expect("output.force = \"true\"", "force: must be true or false");
  expect("output.timings = 1", "timings: must be text in quotes");
  expect("output.timings = \"t.txt\"", "timings: must be a name that ends in .h5 or .hdf5");
  for (const char* key : {"schedule", "threads", "output.timings", "output.result"})
    expect(std::string(key) + " = \"\"", "must not be empty; leave it out");
  EXPECT_THAT(file_refusal("workload = 1"), HasSubstr("workload: must be text in quotes"));
}

TEST(Plan, OptionErrorsNameTheOption) {
  const auto expect = [&](Request request, const std::string& message) {
    request.job = "sum";
    EXPECT_THAT(refusal([&] { (void)make_plan(request, std::nullopt, workloads()); }),
                HasSubstr(message));
  };
  Request request;
  request.parameters = {"n"};
  expect(request, "-p: must be KEY=VALUE, not \"n\"");
  request.parameters = {"=3"};
  expect(request, "-p: must be KEY=VALUE");
  request.parameters = {"m=3"};
  expect(request, "m: unknown parameter \"m\"");
  request.parameters = {"n=nan"};
  expect(request, "n: must be a whole number");
  request.parameters = {"n=3", "x=1", "n=3"};
  expect(request, "n: is given twice by -p");
  request = {};
  request.repetitions = "0";
  expect(request, "--repetitions: must be 1 to");
  request = {};
  request.repetitions = "x";
  expect(request, "--repetitions: must be a whole number");
  request = {};
  request.threads = "many";
  expect(request, "--threads: must be auto or");
  request = {};
  request.budget_s = "nan";
  expect(request, "--budget: must be a finite number");
  request = {};
  request.schedule = "cyclic,0";
  expect(request, "--schedule: ");
  request = {};
  request.patience_s = "0";
  expect(request, "--patience: must be 0.001 to");
  request = {};
  request.seed = "-1";
  expect(request, "--seed: must be 0 to");
}

TEST(Plan, NoTextIsNoValue) {
  using Member = Request::Text Request::*;
  const std::vector<std::pair<std::string, Member>> options = {
      {"--schedule", &Request::schedule}, {"--threads", &Request::threads},
      {"--budget", &Request::budget_s},   {"-o", &Request::timings},
      {"--result", &Request::result},     {"--simd", &Request::simd}};
  for (const auto& [option, member] : options) {
    Request request;
    request.job = "sum";
    request.*member = "";
    EXPECT_EQ(refusal([&] { (void)make_plan(request, std::nullopt, workloads()); }),
              option + ": must not be empty; leave it out for the default");
  }
}

TEST(Plan, TheTimingsFileHasTheSuffixOfHdf5) {
  Request request;
  request.job = "sum";
  for (const char* name : {"a.h5", "a.hdf5", "a.H5", "dir.d/a.b.h5"}) {
    request.timings = name;
    EXPECT_EQ(make_plan(request, std::nullopt, workloads()).timings, name);
  }
  for (const char* name : {"a", "a.txt", "a.h5.png", "a.h5/", ".h5", "h5"}) {
    request.timings = name;
    EXPECT_THAT(refusal([&] { (void)make_plan(request, std::nullopt, workloads()); }),
                AllOf(HasSubstr("-o: must be a name that ends in .h5 or .hdf5"), HasSubstr(name)));
  }
}

TEST(Plan, RanksAreAWholeNumber) {
  Request request;
  EXPECT_FALSE(requested_ranks(request).has_value());
  request.ranks = "4";
  EXPECT_EQ(requested_ranks(request), 4);
  for (const char* text : {"0", "-1", "two", "1.5", ""}) {
    request.ranks = text;
    EXPECT_THAT(refusal([&] { (void)requested_ranks(request); }), HasSubstr("-n: must be")) << text;
  }
}

TEST(Plan, WhatNamesAJobFile) {
  Request request;
  request.job = "sum";
  EXPECT_FALSE(read_job_file(request).has_value());
  for (const char* name : {"nowhere.toml", "nowhere/sum"}) {
    request.job = name;
    EXPECT_THAT(refusal([&] { (void)read_job_file(request); }),
                AllOf(HasSubstr(name), HasSubstr("cannot be read: No such file")));
  }
  request.job = std::filesystem::temp_directory_path().string() + "/";
  EXPECT_THAT(refusal([&] { (void)read_job_file(request); }), HasSubstr("cannot be read"));
  request.job = "/dev/zero"; // what may never end is not begun
  EXPECT_THAT(refusal([&] { (void)read_job_file(request); }), HasSubstr("is not a regular file"));
}

TEST(Plan, RanksMustBeAskedTheSame) {
  Comm::in_process(2, [](Comm& comm) {
    Request request;
    request.job = "sum";
    request.argv = {"cleave", "run", comm.rank() == 0 ? "sum" : "other"};
    EXPECT_THAT(refusal([&] { (void)agree_on_plan(comm, request, workloads()); }),
                HasSubstr("different arguments"));
    request.argv = {comm.rank() == 0 ? "a/cleave" : "b/cleave", "run", "sum"};
    EXPECT_EQ(agree_on_plan(comm, request, workloads()).workload, "sum");
    request.ranks = "3";
    EXPECT_THAT(refusal([&] { (void)agree_on_plan(comm, request, workloads()); }),
                HasSubstr("-n: is 3, but the launcher started 2 ranks"));
    request.ranks = "2";
    request.job = "nowhere.toml";
    EXPECT_THAT(refusal([&] { (void)agree_on_plan(comm, request, workloads()); }),
                HasSubstr("nowhere.toml: cannot be read"));
  });
}

} // namespace
} // namespace cleave
