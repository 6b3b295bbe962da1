#include "cleave/study.hpp"
#include "refusals.hpp"
#include "study/study_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::parameter;
using testing::refusal;
using ::testing::SizeIs;

std::vector<Workload> workloads() {
  using enum ParameterType;
  Workload sum;
  sum.name = "sum";
  sum.parameters = {parameter("n", integer, "10"), parameter("list", integers, "1"),
                    parameter("word", text, "fast"), parameter("input", input_file, ""),
                    parameter("output", output_file, "")};
  sum.grow = [](const Values& values, double factor) {
    const auto n = static_cast<std::int64_t>(factor * static_cast<double>(values.integer("n")));
    return std::map<std::string, std::string>{{"n", std::to_string(n)}};
  };
  Workload other;
  other.name = "other";
  return {sum, other};
}

StudyText text_of(const std::string& study, const std::string& job_file = "") {
  StudyText text;
  text.study = {"dir/s.toml", study};
  text.job = job_of_study(text.study);
  if (!job_file.empty())
    text.job_file = {text.job, job_file};
  return text;
}

StudyPlan plan_of(const std::string& study, const StudyMachine& machine = {.cores = 8},
                  const std::string& job_file = "") {
  return make_study_plan(text_of(study, job_file), machine, workloads());
}

StudyPlan of_sum(const std::string& rest, const StudyMachine& machine = {.cores = 8}) {
  return plan_of("job = \"sum\"\n" + rest, machine);
}

std::string refused(const std::string& rest, const StudyMachine& machine = {.cores = 8}) {
  return refusal([&] { (void)of_sum(rest, machine); });
}

std::vector<std::string> stems(const StudyPlan& plan) {
  std::vector<std::string> all;
  for (const PlannedPoint& point : plan.points)
    all.push_back(point.stem);
  return all;
}

TEST(StudyPlan, EveryCombinationOfTheAxes) {
  const StudyPlan plan = of_sum(R"(mode = "strong"
ranks = [1, "2..4"]
threads = [1, 2]
schedule = ["guided,4", "block"]
[parameters]
n = [1e3, 2000])");
  EXPECT_THAT(plan.points, SizeIs(3 * 2 * 2 * 2));
  EXPECT_EQ(plan.record.title, "s");
  EXPECT_THAT(plan.record.planned, SizeIs(plan.points.size()));
  const PlannedPoint& first = plan.points.front();
  EXPECT_EQ(first.stem, "sum-1000-1x1-guided_4");
  EXPECT_EQ(first.key.schedule, "guided,4");
  EXPECT_THAT(first.overrides, ElementsAre("n=1000"));
  EXPECT_EQ(first.parameters.at("word"), "fast");
  std::vector<std::string> names = stems(plan);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(StudyPlan, DoublingEndsWithItsEnd) {
  const auto ranks = [](const std::string& text) {
    std::vector<int> all;
    for (const PlannedPoint& point : of_sum("mode = \"strong\"\nranks = " + text, {64}).points)
      all.push_back(point.key.ranks);
    return all;
  };
  EXPECT_THAT(ranks("\"4..64\""), ElementsAre(4, 8, 16, 32, 64));
  EXPECT_THAT(ranks("[\"4..48\", 1, 8]"), ElementsAre(1, 4, 8, 16, 32, 48));
  EXPECT_THAT(ranks("2"), ElementsAre(2));
}

// Files of a point lie in the study's folder, whatever its values are.
TEST(StudyPlan, NamesOfPointsStayInTheFolder) {
  const std::string values =
      R"(["../../x", "/etc/passwd", "a/..", "..", ".", "a\\b", "\u0007", "-"])";
  for (const std::string& name :
       stems(of_sum("mode = \"strong\"\nranks = 1\n[parameters]\nword = " + values))) {
    EXPECT_TRUE(name.starts_with("sum-")) << name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.+-_"), std::string::npos)
        << name;
  }
}

TEST(StudyPlan, WithoutRanksAllCoresAreReached) {
  EXPECT_THAT(stems(of_sum("mode = \"strong\"", {6})),
              ElementsAre("sum-1x1-auto", "sum-2x1-auto", "sum-4x1-auto", "sum-6x1-auto"));
  EXPECT_THAT(of_sum("mode = \"schedule\"", {6}).points, SizeIs(9));
}

TEST(StudyPlan, LayoutSplitsTheCores) {
  EXPECT_THAT(stems(of_sum("mode = \"layout\"", {6})),
              ElementsAre("sum-1x6-auto", "sum-2x3-auto", "sum-3x2-auto", "sum-6x1-auto"));
  EXPECT_THAT(stems(of_sum("mode = \"layout\"\ncores = 4\nthreads = [1, 2]", {6})),
              ElementsAre("sum-2x2-auto", "sum-4x1-auto"));
  EXPECT_THAT(refused("mode = \"layout\"\nranks = 5"), HasSubstr("dir/s.toml:3: ranks: no split"));
  EXPECT_THAT(refused("mode = \"strong\"\ncores = 4"), HasSubstr("is of mode = \"layout\" alone"));
}

TEST(StudyPlan, WeakGrowsByTheWorkers) {
  const StudyPlan plan =
      of_sum("mode = \"weak\"\nranks = [1, 2]\nthreads = 3\n[parameters]\nn = 7");
  EXPECT_THAT(plan.record.grown, ElementsAre("n"));
  EXPECT_THAT(plan.points[0].overrides, ElementsAre("n=21"));
  EXPECT_THAT(plan.points[1].overrides, ElementsAre("n=42"));
  EXPECT_EQ(plan.points[1].stem, "sum-7-2x3-auto");
  EXPECT_NE(plan.points[0].key.config_hash, plan.points[1].key.config_hash);
  EXPECT_THAT(refusal([] { (void)plan_of("job = \"other\"\nmode = \"weak\"\nranks = 1"); }),
              AllOf(HasSubstr("dir/s.toml:2: mode: "), HasSubstr("these can: sum")));
}

TEST(StudyPlan, AListIsAnAxisAndAListOfListsOneOfLists) {
  EXPECT_THAT(of_sum("mode=\"strong\"\nranks=1\n[parameters]\nlist = [1, 2]").points, SizeIs(2));
  const StudyPlan plan = of_sum("mode=\"strong\"\nranks=1\n[parameters]\nlist = [[1, 2e3]]");
  ASSERT_THAT(plan.points, SizeIs(1));
  EXPECT_THAT(plan.points[0].overrides, ElementsAre("list=1,2000"));
}

TEST(StudyPlan, TheJobFileIsFoundFromTheStudyFile) {
  const std::string study = "job = \"../j.toml\"\nmode = \"strong\"\nranks = 1";
  EXPECT_EQ(text_of(study).job, "j.toml");
  const StudyPlan plan = plan_of(study, {4},
                                 "workload = \"sum\"\nschedule = \"cyclic\"\n"
                                 "[parameters]\nn = 5\n[measure]\nwarmup = 9");
  EXPECT_EQ(plan.points[0].key.schedule, "cyclic");
  EXPECT_EQ(plan.points[0].parameters.at("n"), "5");
  EXPECT_THAT(plan.points[0].overrides, IsEmpty());
  EXPECT_EQ(plan.record.measure.warm_ups, 1);
  EXPECT_THAT(refusal([&] {
                (void)plan_of(study, {4}, "workload = \"sum\"\n[output]\nresult = \"a.h5\"");
              }),
              AllOf(HasSubstr("j.toml:3: result: "), HasSubstr("many times")));
}

TEST(StudyPlan, PathsStartFromTheStudyFile) {
  const StudyPlan plan =
      of_sum("mode = \"strong\"\nranks = 1\n[parameters]\ninput = \"../data/x.csv\"");
  EXPECT_EQ(plan.points[0].overrides[0],
            "input=" + fs::absolute("data/x.csv").lexically_normal().string());
  EXPECT_EQ(plan.points[0].stem, "sum-x.csv-1x1-auto");
}

TEST(StudyPlan, NodesOfABatchJob) {
  const StudyMachine slurm{.cores = 2, .launcher = Launcher::slurm};
  const StudyPlan plan = of_sum("mode = \"strong\"\nranks = [4, 9, 32]\nthreads = 2\n"
                                "[slurm]\ncores_per_node = 16",
                                slurm);
  EXPECT_EQ(plan.points[0].key.nodes, 1);
  EXPECT_EQ(plan.points[1].key.nodes, 2);
  EXPECT_EQ(plan.points[2].key.nodes, 4);
  EXPECT_EQ(plan.points[2].stem, "sum-4n-32x2-auto");
  EXPECT_THAT(refused("mode = \"strong\"\nranks = 1", slurm), HasSubstr("cores_per_node"));
}

TEST(StudyPlan, OverSubscribedPointsAreRefusedUnlessWanted) {
  const std::string study = "mode = \"strong\"\nranks = [2, 5]\nthreads = [2]";
  EXPECT_THAT(refused(study), AllOf(HasSubstr("dir/s.toml:4: threads: 5 ranks x 2 threads"),
                                    HasSubstr("--oversubscribe")));
  const StudyPlan plan = of_sum(study, {.cores = 8, .oversubscribe = true});
  EXPECT_FALSE(plan.points[0].oversubscribed);
  EXPECT_TRUE(plan.points[1].oversubscribed);
}

TEST(StudyPlan, RefusalsNameFileLineAndKey) {
  EXPECT_THAT(refusal([] { (void)plan_of("mode = \"strong\""); }), HasSubstr("job: missing"));
  EXPECT_THAT(refusal([] { (void)plan_of("jop = \"sum\""); }),
              AllOf(HasSubstr("dir/s.toml:1: jop: "), HasSubstr("did you mean \"job\"")));
  EXPECT_THAT(refusal([] { (void)plan_of("job = \"sun\"\nmode = \"strong\""); }),
              HasSubstr("did you mean \"sum\""));
  EXPECT_THAT(refusal([] { (void)plan_of("job = "); }), HasSubstr("dir/s.toml:1: not valid TOML"));
  const std::string strong = "mode = \"strong\"\nranks = 1\n";
  for (const auto& [rest, words] : std::vector<std::pair<std::string, std::string>>{
           {"", "mode: missing"},
           {"mode = \"strng\"", "s.toml:2: mode: unknown mode \"strng\"; did you mean \"strong\""},
           {"mode = 1", "must be text in quotes, not a number"},
           {"mode = \"strong\"\nranks = \"4..2\"",
            "s.toml:3: ranks: must be a number or a doubling"},
           {"mode = \"strong\"\nranks = []", "is an empty list"},
           {"mode = \"strong\"\nranks = [0]", "must be 1 to 1e6, not 0"},
           {"mode = \"strong\"\nthreads = 1.5", "threads: must be a whole number"},
           {strong + "schedule = \"guide\"", "guided"},
           {strong + "[measure]\nrepetition = 3", "key in [measure] \"repetition\"; did you mean"},
           {strong + "[measure]\nhalf_width = 2", "s.toml:5: half_width: must be"},
           {strong + "[measure]\nseed = \"x\"", "must be a number without quotes, not text"},
           {strong + "[parameters]\nm = 3", "s.toml:5: m: unknown parameter"},
           {strong + "[parameters]\nn = \"3\"", "must be a number without quotes, not text"},
           {strong + "[parameters]\nn = 1.5", "s.toml:5: n: must be a whole number"},
           {strong + "[parameters]\noutput = \"x\"", "write output = \"\" under [parameters]"},
           {strong + "[slurm]\npartion = \"x\"", "did you mean \"partition\""},
           {strong + "[slurm]\nlines = [\"echo\"]", "must be options of sbatch"},
           {strong + "measure = 3", "must be a table, written [measure], not a number"},
       })
    EXPECT_THAT(refused(rest), HasSubstr(words)) << rest;
}

TEST(ChosenPoints, OneKeyIsAlternativesTwoMustHoldTogether) {
  const StudyPlan plan = of_sum("mode = \"strong\"\nranks = [1, 2, 4]\nthreads = [1, 2]\n"
                                "[parameters]\nn = [3, 4]");
  const auto count = [&](const std::vector<std::string>& only) {
    return chosen_points(plan, only).size();
  };
  EXPECT_EQ(count({}), 12);
  EXPECT_EQ(count({"ranks=2"}), 4);
  EXPECT_EQ(count({"ranks=2", "ranks=4"}), 8);
  EXPECT_EQ(count({"ranks=2", "threads=2", "n=3"}), 1);
  EXPECT_THAT(refusal([&] { (void)count({"rank=2"}); }), HasSubstr("did you mean \"ranks\""));
  EXPECT_THAT(refusal([&] { (void)count({"ranks=3"}); }),
              HasSubstr("no point is left; the study has ranks 1, 2, 4"));
  EXPECT_THAT(refusal([&] { (void)count({"ranks"}); }), HasSubstr("must be KEY=VALUE"));
}

Point measured(const std::vector<double>& walls) {
  Point point;
  for (const double wall : walls)
    point.samples.push_back({.wall_s = wall});
  return point;
}

TEST(StoppedBy, TheFirstRuleThatHolds) {
  const Measure measure{.repetitions = 8, .half_width = 0.1, .budget_s = 100};
  EXPECT_EQ(stopped_by(measured({}), measure), "");
  EXPECT_EQ(stopped_by(measured({1, 1, 1, 1, 1}), measure), "") << "no interval at n=5";
  EXPECT_EQ(stopped_by(measured({1, 1, 1, 1, 1, 1.2}), measure), "half width");
  EXPECT_EQ(stopped_by(measured({1, 1, 1, 1, 1, 1.21}), measure), "");
  EXPECT_EQ(stopped_by(measured({1, 1, 1, 2, 2, 2, 3, 4}), measure), "repetitions");
  EXPECT_EQ(stopped_by(measured({60, 40}), measure), "budget");
  EXPECT_EQ(stopped_by(measured({60, 39.9}), measure), "");
}

TEST(StoppedBy, ZeroMeansNoSuchRule) {
  const Measure measure{.repetitions = 8, .half_width = 0, .budget_s = 0};
  EXPECT_EQ(stopped_by(measured({1e9, 1e9, 1e9, 1e9, 1e9, 1e9}), measure), "");
}

class Record : public ::testing::Test {
protected:
  fs::path folder_ = fs::path(::testing::TempDir()) / "study_record";
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void put(const std::string& text) const { std::ofstream(folder_ / "study.json") << text; }
  [[nodiscard]] std::string refusal_of(const std::string& text) const {
    put(text);
    return refusal([this] { (void)read_study_record(folder_); });
  }
};

TEST_F(Record, ReadsBackWhatWasWritten) {
  EXPECT_FALSE(read_study_record(folder_));
  const StudyPlan plan = of_sum("mode = \"weak\"\nranks = [1, 2]\n[measure]\nhalf_width = 0.1\n"
                                "seed = 9000000000000000000");
  write_study_record(folder_, plan.record);
  const auto record = read_study_record(folder_);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->title, "s");
  EXPECT_EQ(record->mode, StudyMode::weak);
  EXPECT_EQ(record->measure.half_width, 0.1);
  EXPECT_EQ(record->measure.seed, 9'000'000'000'000'000'000U);
  EXPECT_EQ(record->grown, plan.record.grown);
  EXPECT_EQ(record->planned, plan.record.planned);
}

TEST_F(Record, RefusesWhatIsDamaged) {
  write_study_record(folder_, of_sum("mode = \"strong\"\nranks = 1").record);
  std::string good;
  std::getline(std::ifstream(folder_ / "study.json"), good, '\0');
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  EXPECT_THAT(refusal_of(good.substr(0, good.size() / 2)), HasSubstr("is damaged"));
  EXPECT_THAT(refusal_of(""), HasSubstr("is damaged"));
  EXPECT_THAT(refusal_of("[]"), HasSubstr("is damaged"));
  EXPECT_THAT(refusal_of(with("\"seed\": 1", "\"seed\": true")),
              AllOf(HasSubstr("study.json: seed: "), HasSubstr("wrong type")));
  EXPECT_THAT(refusal_of(with("\"ranks\": 1", "\"ranks\": 1.5")), HasSubstr("wrong type"));
  EXPECT_THAT(refusal_of(with("\"strong\"", "\"odd\"")), HasSubstr("there is no mode \"odd\""));
  EXPECT_THAT(refusal_of(with("\"title\"", "\"titel\"")), HasSubstr("title: is damaged"));
  EXPECT_THAT(refusal_of(with("\"format_version\": 1", "\"format_version\": 2")),
              HasSubstr("newer version"));
}

TEST(TomlDifference, SaysWhatDiffersAndNothingOfComments) {
  const auto difference = [](const std::string& a, const std::string& b) {
    return toml_difference({"a", a}, {"b", b}, "slurm").value_or("");
  };
  EXPECT_EQ(difference("x = 1\n[m]\ny = [1, 2]", "# ha\nm.y = [1,2]\nx = 1"), "");
  EXPECT_EQ(difference("[m]\ny = 1", "[m]\ny = 2"), "m.y was 1, is 2");
  EXPECT_EQ(difference("[m]\ny = 1", ""), "m.y was 1, is gone");
  EXPECT_EQ(difference("", "y = 1"), "y was not there, is 1");
  EXPECT_EQ(difference("[slurm]\ny = 1", ""), "");
}

TEST(Launches, TheLineOfAPoint) {
  const StudyPlan plan = of_sum("mode = \"strong\"\nranks = 2\nthreads = 2\n[parameters]\n"
                                "word = \"a b\"\n[measure]\nrepetitions = 12\nbudget_s = 10");
  StudyOptions options;
  options.directory = "out";
  options.launcher = Launcher::srun;
  options.program = "/bin/cleave";
  PointStatus status;
  status.measured = measured({1, 2, 3});
  status.visits = 4;
  EXPECT_EQ(shell_text(next_launch(plan, options, 0, status)),
            "CLEAVE_LAUNCHED=1 SLURM_PMIX_FENCE=ring srun --mpi=pmix -N1 -n2 -c2 --cpu-bind=cores "
            "/bin/cleave run sum -p 'word=a b' --threads 2 --schedule auto --warmup 1 "
            "--repetitions 3 --budget 4.000 "
            "-o out/points/sum-a_b-2x2-auto.5.h5 --no-checkpoint --quiet");
  status.measured = measured(std::vector<double>(11, 0.1));
  EXPECT_THAT(shell_text(next_launch(plan, options, 0, status)), HasSubstr("--repetitions 1 "));
}

TEST(Launches, OneBatchScriptANumberOfNodes) {
  const StudyPlan plan = of_sum("mode = \"strong\"\nranks = [1, 2, 4, 8]\n[slurm]\n"
                                "cores_per_node = 4\ntime = \"1:00\"\nlines = [\"--qos=low\"]",
                                {.cores = 2, .launcher = Launcher::slurm});
  StudyOptions options;
  options.directory = "out";
  options.program = "/bin/cleave";
  options.chosen = chosen_points(plan, {});
  const std::vector<BatchScript> scripts = batch_scripts(plan, options);
  ASSERT_THAT(scripts, SizeIs(2));
  EXPECT_EQ(scripts[1].nodes, 2);
  EXPECT_EQ(scripts[1].file.filename(), "nodes-2.sh");
  for (const char* line : {"#SBATCH --nodes=2\n", "#SBATCH --time=1:00\n", "#SBATCH --qos=low\n",
                           "#SBATCH --open-mode=append\n", "--launcher srun --only nodes=2\n"})
    EXPECT_THAT(scripts[1].text, HasSubstr(line));
}

TEST(Launch, StatusSignalAndMissingProgram) {
  const fs::path log = fs::path(::testing::TempDir()) / "launch.log";
  fs::remove(log);
  const auto end = [&](Launch& launch) {
    std::optional<int> status;
    while (!(status = launch.wait(std::chrono::seconds(1)))) {
    }
    return *status;
  };
  Launch speaks({{"sh", "-c", "echo $MARK; exit 7"}, {{"MARK", "heard"}}}, log);
  EXPECT_EQ(end(speaks), 7);
  std::string word;
  std::ifstream(log) >> word;
  EXPECT_EQ(word, "heard");
  Launch forlorn({{"sh", "-c", "true & exec sleep 100"}, {}}, log); // which waits for no child
  EXPECT_EQ(end(forlorn), 128 + SIGKILL);
  Launch sleeps({{"sleep", "100"}, {}}, log);
  EXPECT_FALSE(sleeps.wait(std::chrono::milliseconds(1)));
  sleeps.terminate();
  EXPECT_EQ(end(sleeps), 128 + 15);
  EXPECT_THAT(refusal([&] {
                const Launch none({{"no-such-program"}, {}}, log);
              }),
              HasSubstr("cannot start no-such-program"));
}

// A study that is killed must not leave a launch behind that measures beside the next one.
TEST(Launch, IsAskedToEndWhenItsParentIsKilled) {
  const fs::path log = fs::path(::testing::TempDir()) / "orphan.log";
  fs::remove(log);
  const auto heard = [&](const std::string& wanted) {
    for (int i = 0; i < 500; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
      std::string text;
      std::getline(std::ifstream(log), text, '\0');
      if (text.find(wanted) != std::string::npos)
        return true;
    }
    return false;
  };
  const pid_t parent = fork();
  if (parent == 0) {
    const Launch launch(
        {{"sh", "-c", "trap 'echo ended; exit' TERM; echo begun; sleep 20 & wait"}, {}}, log);
    pause();
  }
  EXPECT_TRUE(heard("begun"));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(heard("ended"));
}

} // namespace
} // namespace cleave
