// The parts of the workload command: quoting, templates, rows, the environment and cores of a task,
// the job log, output in order, and one process.
#include "cleave/command.hpp"
#include "cleave/error.hpp"
#include "cleave/timings.hpp"
#include "command/child_process.hpp"
#include "command/job_log.hpp"
#include "command/log_attempts.hpp"
#include "command/ordered_output.hpp"
#include "command/rows.hpp"
#include "command/shell_words.hpp"
#include "command/survey.hpp"
#include "command/task_environment.hpp"
#include "command/template.hpp"
#include "command/worker_places.hpp"
#include "damage.hpp"
#include "job_run.hpp"
#include "refusals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

cleave::Workload command_workload();

namespace {
int lock_error = 0; // of a file system that keeps no locks
}

// In place of the C library's.
extern "C" int flock(int file, int operation) noexcept {
  if (lock_error == 0)
    return static_cast<int>(syscall(SYS_flock, file, operation));
  errno = lock_error;
  return -1;
}

namespace cleave::command {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;
using Words = std::vector<std::string>;

TEST(ShellWords, QuoteAsTheShellDoes) {
  const std::vector<std::pair<std::string, Words>> cases = {
      {"", {}},
      {" \t ", {}},
      {"a b\tc", {"a", "b", "c"}},
      {"'a b'\"c d\"e", {"a bc de"}},
      {R"(a\ b \\ \' '\')", {"a b", "\\", "'", "\\"}},
      {R"("\a\"\\\$\`'x'")", {R"(\a"\$`'x')"}},
      {"'' \"\"", {"", ""}},
      {"a#b '#' $X *.c ~ {a,b} a=b", {"a#b", "#", "$X", "*.c", "~", "{a,b}", "a=b"}},
      {"'>' \\| \"&&\" a>b x;y", {">", "|", "&&", "a>b", "x;y"}}};
  for (const auto& [line, words] : cases)
    EXPECT_EQ(shell_words(line), words) << line;
}

TEST(ShellWords, RefuseWhatIsUnbalancedOrForAShell) {
  for (const char* line : {"a 'b", "a \"b", "\"\\\"", "a\\"})
    EXPECT_NE(refusal([&] { static_cast<void>(shell_words(line)); }), "accepted") << line;
  for (const char* line : {"a | b", "a > b", "a && b", "a 2>&1", "a ;"})
    EXPECT_THAT(refusal([&] { static_cast<void>(shell_words(line)); }), HasSubstr("shell=true"));
}

TEST(ShellWords, ComeBackFromTheirQuotedLine) {
  const Words words = {"",  "a", "a b",  "it's", "\"",  "\\",  "$x",
                       "*", ";", "a\tb", "\n",   "'''", "-x=1"};
  EXPECT_EQ(shell_words(shell_line(words)), words);
  EXPECT_EQ(shell_quoted("plain-1.0/x:y"), "plain-1.0/x:y");
}

TEST(Template, FillsFieldsInWithoutSplittingWords) {
  const Template words("render --frame {frame} -o 'out dir/{frame}-{eye}.png' {{{eye}}} {task}",
                       {"frame", "eye"}, false);
  EXPECT_THAT(words.fill(7, {"3", "a b'"}),
              ElementsAre("render", "--frame", "3", "-o", "out dir/3-a b'.png", "{a b'}", "7"));
  const Template line("echo {x} | cat", {"x"}, true);
  EXPECT_THAT(line.fill(1, {"a'; rm b"}), ElementsAre("echo 'a'\\''; rm b' | cat"));
}

TEST(Template, RefusesUnknownFieldsAndStrayBraces) {
  const auto refused = [](const char* text) {
    return refusal([&] { const Template made(text, {"frame"}, false); });
  };
  EXPECT_THAT(refused("a {fram}"), HasSubstr("did you mean \"frame\""));
  EXPECT_THAT(refused("a {frame"), HasSubstr("no closing"));
  EXPECT_THAT(refused("a frame}"), HasSubstr("no opening"));
  EXPECT_THAT(refused("a {}"), HasSubstr("unknown field"));
  EXPECT_THAT(refused("a 'b"), HasSubstr("quote"));
}

std::vector<Words> all(Rows rows) {
  std::vector<Words> values;
  while (const auto row = rows.next())
    values.push_back(row->values);
  return values;
}

TEST(Rows, CombineRangesAndLists) {
  EXPECT_THAT(range_rows("i=1..2 j=a,b").names, ElementsAre("i", "j"));
  EXPECT_THAT(all(range_rows("i=1..2 j=a,,b")),
              ElementsAre(Words{"1", "a"}, Words{"1", ""}, Words{"1", "b"}, Words{"2", "a"},
                          Words{"2", ""}, Words{"2", "b"}));
  EXPECT_THAT(all(range_rows("i=9..-2..-5")), ElementsAre(Words{"9"}, Words{"4"}, Words{"-1"}));
  EXPECT_THAT(all(range_rows("i=2..0")), ElementsAre(Words{"2"}, Words{"1"}, Words{"0"}));
  EXPECT_THAT(all(range_rows("i=3..3")), ElementsAre(Words{"3"}));
  for (const char* text : {"", "i", "i=", "=1..2", "i=1..", "i=..2", "i=a..b", "i=1..2..0",
                           "i=1..2..3..4", "i=1..2 i=3", "{i}=1..2", "i=1..9e18"})
    EXPECT_NE(refusal([&] { static_cast<void>(range_rows(text)); }), "accepted") << text;
}

class CommandFiles : public ::testing::Test {
protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cleaveXXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path file(const std::string& text) {
    const auto path = folder_ / "file";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  static std::string text(const std::filesystem::path& path) {
    const std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  std::filesystem::path folder_;
};

TEST_F(CommandFiles, CsvRowsAreThoseOfRfc4180) {
  const Rows rows = csv_rows(file("\xef\xbb\xbf"
                                  "a,b\r\n1,\"x, \"\"y\"\"\"\r\n\r\n,\"\""));
  EXPECT_THAT(rows.names, ElementsAre("a", "b"));
  EXPECT_THAT(all(rows), ElementsAre(Words{"1", "x, \"y\""}, Words{"", ""}));
  const auto refused = [&](const std::string& csv) {
    return refusal([&] { static_cast<void>(all(csv_rows(file(csv)))); });
  };
  EXPECT_THAT(refused(""), HasSubstr("is empty"));
  EXPECT_THAT(refused("a,a\n"), HasSubstr("named twice"));
  EXPECT_THAT(refused("a,b\n1,2\n3\n"), HasSubstr("file:3"));
  EXPECT_THAT(refused("a\n\"x\n"), HasSubstr("not closed"));
}

TEST(TaskEnvironment, IsTheUsersNotTheRanks) {
  const Environment own = {"HOME=/h",          "OMPI_COMM_WORLD_RANK=1", "PMIX_RANK=1",
                           "OMPI_MCA_pml=ob1", "OMPI_MCA_orte_x=1",      "OMPI_ALLOW_RUN_AS_ROOT=1",
                           "PRTE_X=1",         "CLEAVE_LAUNCHED=1"};
  EXPECT_TRUE(is_of_rank(own));
  EXPECT_THAT(task_environment(own, Environment{"OMPI_MCA_pml=ob1", "OMPI_MCA_orte_x=0"}),
              ElementsAre("HOME=/h", "OMPI_MCA_pml=ob1", "OMPI_ALLOW_RUN_AS_ROOT=1"));
  EXPECT_THAT(task_environment(own, std::nullopt),
              ElementsAre("HOME=/h", "OMPI_ALLOW_RUN_AS_ROOT=1"));
  const Environment alone = {"HOME=/h", "OMPI_MCA_pml=ob1"};
  EXPECT_EQ(task_environment(alone, std::nullopt), alone);
}

Layout layout_of(const std::vector<RankPlace>& ranks) {
  NodePlace node;
  node.cores = 8;
  node.cpus = 8;
  return {std::vector<NodePlace>(2, node), ranks, {}};
}

TEST(WorkerPlaces, DealOutTheCoresOfARank) {
  const Layout layout = layout_of({{0, 2, {0, 1, 2, 3}, {0, 1, 2, 3}, 1},
                                   {0, 3, {4, 5, 6, 7}, {4, 5, 6, 7}, 2},
                                   {1, 2, {0, 1, 8, 9}, {0, 1}, 3}});
  const auto first = worker_places(layout, 0);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_THAT(first[0].cpus, ElementsAre(0, 1));
  EXPECT_THAT(first[1].cpus, ElementsAre(2, 3));
  EXPECT_THAT(first[1].environment, Contains("OMP_NUM_THREADS=2"));
  const auto second = worker_places(layout, 1);
  EXPECT_THAT(second[0].cpus, ElementsAre(4));
  EXPECT_THAT(second[2].cpus, ElementsAre(6, 7));
  EXPECT_THAT(second[2].environment, Contains("OPENBLAS_NUM_THREADS=1"));
  // Two logical CPUs a core: nobody knows here which belong together.
  const auto third = worker_places(layout, 2);
  EXPECT_THAT(third[0].cpus, ElementsAre(0, 1, 8, 9));
  EXPECT_THAT(third[0].environment, Contains("CLEAVE_NODE=1"));
}

TEST(WorkerPlaces, LeaveSharedCoresTogether) {
  const std::vector<int> both = {0, 1};
  const Layout layout = layout_of({{0, 1, both, both, 1}, {0, 1, both, both, 2}});
  EXPECT_EQ(worker_places(layout, 1)[0].cpus, both);
  EXPECT_THAT(worker_places(layout, 1)[0].environment, Contains("OMP_NUM_THREADS=1"));
}

/// The message of the Error io that `work` throws; "done" when it throws none.
template <class Work>
std::string failure(Work work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    return error.what();
  }
  return "done";
}

JobRecord record(std::int64_t task, std::int64_t exit_value, const std::string& command) {
  return {.task = task,
          .host = "node1",
          .start_utc_s = 1.7e9,
          .runtime_s = 0.25,
          .received = 12,
          .exit_value = exit_value,
          .signal = 9,
          .command = command,
          .rank = 3,
          .max_memory_kib = 5000};
}

TEST(JobLog, LinesComeBack) {
  const std::string line = to_line(record(7, -1, "a\tb 'c'"));
  const std::string fields = "7\tnode1\t1700000000.000\t0.250\t0\t12\t-1\t9\ta\tb 'c'\t3\t5000";
  EXPECT_EQ(line, fields + "\t" + hex16(checksum(std::as_bytes(std::span(fields)))) + "\n");
  EXPECT_EQ(to_line(record(7, -1, "a\tb 'c'"), false), fields + "\n");
  EXPECT_TRUE(parse_record(fields, false));
  const auto read = parse_record(line.substr(0, line.size() - 1));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->command, "a\tb 'c'");
  EXPECT_EQ(to_line(*read), line);
  for (const char* text :
       {"", "7", "x\th\t1\t1\t0\t0\t0\t0\tc\t0\t0", "7\th\t1\t1\t0\t0\t0\t0\tc\t0"})
    EXPECT_FALSE(parse_record(text) || parse_record(text, false)) << text;
}

// Whatever byte changes: a line is refused, or a torn last one is left out.
TEST_F(CommandFiles, ADamagedJobLogIsRefused) {
  const auto file = folder_ / "log";
  {
    JobLog log(file, false);
    for (int task = 1; task <= 20; ++task)
      log.append(record(task, task % 3, "render " + std::to_string(task)));
  }
  std::ostringstream lines;
  const auto tell = [&](const JobRecord& r) { lines << to_line(r); };
  read_job_log(file, tell);
  const std::string written = lines.str();
  const auto survived = testing::survive("job log", file, [&] {
    lines.str("");
    read_job_log(file, tell);
    return written.starts_with(lines.str());
  });
  EXPECT_GT(survived.refused, testing::damages() / 2);
}

TEST_F(CommandFiles, AJobLogWithoutSumsGoesOnWithoutThem) {
  const auto file = folder_ / "log";
  std::ofstream(file, std::ios::binary)
      << "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tRank\tMaxKiB\n"
      << to_line(record(1, 0, "one"), false);
  JobLog(file, true).append(record(2, 0, "two"));
  std::vector<std::int64_t> tasks;
  read_job_log(file, [&](const JobRecord& r) { tasks.push_back(r.task); });
  EXPECT_THAT(tasks, ElementsAre(1, 2));
}

TEST_F(CommandFiles, AJobLogLosesItsTornLineAlone) {
  const auto file = folder_ / "log";
  {
    JobLog log(file, false);
    log.append(record(2, 0, "two"));
    log.append(record(1, 3, std::string(10'000, 'x')));
    EXPECT_THROW(JobLog(file, true), Error); // is locked
  }
  const std::string whole = text(file);
  for (const std::size_t cut : {std::size_t{1}, std::size_t{5000}, std::size_t{10'010}}) {
    std::ofstream(file, std::ios::binary) << whole.substr(0, whole.size() - cut);
    JobLog(file, true).append(record(1, 3, std::string(10'000, 'x')));
    EXPECT_EQ(text(file), whole) << cut;
  }
  std::vector<std::int64_t> tasks;
  read_job_log(file, [&](const JobRecord& r) { tasks.push_back(r.task); });
  EXPECT_THAT(tasks, ElementsAre(2, 1));
  JobLog(file, false);
  read_job_log(file, [&](const JobRecord&) { ADD_FAILURE(); });
}

TEST_F(CommandFiles, AJobLogIsClaimedOnce) {
  claim_job_log(folder_ / "log");
  EXPECT_EQ(text(folder_ / "log"), "");
  EXPECT_THROW(claim_job_log(folder_ / "log"), Error);
  EXPECT_THROW(claim_job_log(folder_ / "none/log"), Error);
}

// As some NFS and Lustre are mounted.
TEST_F(CommandFiles, WhereNoLockIsKeptAJobLogSaysSo) {
  const auto file = folder_ / "log";
  EXPECT_EQ(JobLog(file, false).no_lock(), "");
  for (const int error : {ENOLCK, EOPNOTSUPP, ENOSYS}) {
    lock_error = error;
    JobLog log(file, true);
    lock_error = 0;
    EXPECT_EQ(log.no_lock(), std::strerror(error));
    log.append(record(error, 0, "one"));
  }
  std::vector<std::int64_t> tasks;
  read_job_log(file, [&](const JobRecord& r) { tasks.push_back(r.task); });
  EXPECT_THAT(tasks, ElementsAre(ENOLCK, EOPNOTSUPP, ENOSYS));
}

TEST_F(CommandFiles, ARunIsToldThatNoLockIsKept) {
  const Values values = testing::values_of(
      command_workload(), {{"tasks", file(":\n").string()}, {"joblog", folder_ / "log"}});
  std::vector<std::string> warnings;
  start_spawn_server(); // while this process has no other thread, as in a run
  Comm::in_process(1, [&](Comm& comm) {
    Pool pool(comm);
    const auto job = command_workload().prepare(values, pool);
    job->tell_warnings_to([&](const Error& warning) { warnings.push_back(warning.message()); });
    lock_error = ENOLCK;
    job->run(pool);
    lock_error = 0;
  });
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("cannot be locked (No locks available)")));
}

// Another run has gone on with the log and ended between its reading and its lock.
TEST_F(CommandFiles, AJobLogThatHasGrownSinceItWasReadIsRefused) {
  const auto file = folder_ / "log";
  JobLog(file, false).append(record(1, 0, "one"));
  const KeptLog kept{file, read_job_log(file, [](const JobRecord&) {})};
  EXPECT_EQ(kept.bytes, std::ssize(text(file)));
  JobLog(file, true).append(record(2, 0, "two"));
  const std::string grown = text(file);
  EXPECT_THAT(failure([&] { static_cast<void>(take_log(file, kept)); }),
              HasSubstr("written by another run meanwhile"));
  EXPECT_EQ(text(file), grown);
}

// Such as a zombie's that comes to its end after a later attempt has come to its own.
TEST_F(CommandFiles, AnAttemptLogIsSettledUnlessALaterOneWas) {
  const auto name = folder_ / "log";
  JobLog second(folder_ / "log.j7-a2", false);
  JobLog third(folder_ / "log.j7-a3", false);
  third.append(record(3, 0, "three"));
  EXPECT_EQ(latest_log(name), folder_ / "log.j7-a3");
  settle(third, name);
  const std::string settled = text(name);
  second.append(record(2, 0, "two"));
  EXPECT_THAT(failure([&] { settle(second, name); }), HasSubstr("a later attempt"));
  third.append(record(4, 0, "four"));
  EXPECT_EQ(text(name), settled + to_line(record(4, 0, "four")));
  EXPECT_EQ(latest_log(name), name);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "log.j7-a2"));
}

TEST_F(CommandFiles, AnEarlierAttemptIsSettledBeforeALaterOne) {
  const auto name = folder_ / "log";
  JobLog second(folder_ / "log.j7-a2", false);
  JobLog third(folder_ / "log.j7-a3", false);
  third.append(record(3, 0, "three"));
  settle(second, name);
  EXPECT_EQ(latest_log(name), folder_ / "log.j7-a3");
  settle(third, name);
  EXPECT_THAT(text(name), HasSubstr("three"));
}

TEST(Tally, DoesNotDependOnTheOrder) {
  Tally one;
  Tally other;
  for (int i = 1; i <= 20; ++i)
    one.add(i, i % 2, 0, "c");
  for (int i = 20; i >= 1; --i)
    other.add(i, i % 2, 0, "c");
  EXPECT_EQ(one.digest(), other.digest());
  EXPECT_EQ(one.failures(), other.failures());
  EXPECT_EQ(one.failures().front(), "1: exit value 1: c");
  EXPECT_EQ(one.failed(), 10);
  other.add(21, 0, 0, "c");
  EXPECT_NE(one.digest(), other.digest());
}

TEST(OrderedOutput, TellsInOrderWhateverComesFirst) {
  for (const std::size_t memory : {std::size_t{0}, std::size_t{8}, std::size_t{1000}}) {
    std::string told;
    OrderedOutput output(
        [&](std::string_view text, bool error) { (told += error ? "!" : "") += text; },
        {false, true, false, false, false}, true, memory);
    output.add(4, "four\nlines", "");
    output.add(3, "three\n", "oops\n");
    EXPECT_EQ(told, "");
    output.add(1, "", "");
    EXPECT_EQ(told, "3\tthree\n!3\toops\n4\tfour\n4\tlines\n");
    told.clear();
    output.add(5, "\n", "");
    EXPECT_EQ(told, "5\t\n");
  }
}

SpawnReport run_script(const std::string& script, SpawnOrder order = {}, int stop = -1) {
  order.words = {"/bin/sh", "-c", script};
  return run_process(order, environ, stop, -1);
}

bool is_alive(int process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(status, line);
  return !line.empty() && line.find(") Z ") == std::string::npos;
}

TEST(ChildProcess, ReportsHowItEnded) {
  const SpawnReport report = run_script("echo out; echo err >&2; exit 5");
  EXPECT_EQ(report.exit_value, 5);
  EXPECT_EQ(report.output, "out\n");
  EXPECT_EQ(report.error, "err\n");
  EXPECT_GT(report.max_memory_kib, 0);
  EXPECT_EQ(run_script("kill -USR1 $$").signal, SIGUSR1);
  EXPECT_EQ(run_script("cat").output, ""); // nothing to read
  SpawnOrder none;
  none.words = {"no such program"};
  EXPECT_EQ(run_process(none, environ, -1, -1).exit_value, 127);
  none.words = {"/"};
  EXPECT_EQ(run_process(none, environ, -1, -1).exit_value, 126);
}

TEST(ChildProcess, KeepsSomeOutputAndCountsAll) {
  SpawnOrder order;
  order.most_output = 10;
  const SpawnReport report = run_script("head -c 300000 /dev/zero", order);
  EXPECT_EQ(report.output.size(), 10U);
  EXPECT_EQ(report.output_bytes, 300'000);
  EXPECT_TRUE(report.succeeded());
}

TEST(ChildProcess, DoesNotWaitForWhatItLeavesBehind) {
  const SpawnReport report = run_script("sleep 1000 & echo $!"); // this test has a time limit
  EXPECT_TRUE(report.succeeded());
  kill(static_cast<pid_t>(std::stoi(report.output)), SIGKILL);
}

TEST(ChildProcess, EndsWithItsGroup) {
  SpawnOrder order;
  order.timeout_s = 0.2;
  order.kill_after_s = 0.2;
  const SpawnReport report =
      run_script("(trap '' TERM; sleep 60) & echo $!; wait; sleep 60", order);
  EXPECT_EQ(report.exit_value, -1);
  EXPECT_EQ(report.signal, SIGTERM);
  const int grandchild = std::stoi(report.output);
  for (int i = 0; i < 1000 && is_alive(grandchild); ++i)
    usleep(10'000);
  EXPECT_FALSE(is_alive(grandchild));
  kill(grandchild, SIGKILL);
  EXPECT_EQ(run_script("trap '' TERM; sleep 60 & wait; sleep 60", order).signal, SIGKILL);
}

TEST(ChildProcess, EndsWhenItIsToldTo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  const SpawnReport report = run_script("sleep 60", {}, ends[0]);
  EXPECT_EQ(report.signal, SIGTERM);
  EXPECT_EQ(report.exit_value, 0);
  close(ends[0]);
  close(ends[1]);
}

TEST(CommandJob, IsTheSameBytesInEverySplit) {
  const std::map<std::string, std::string> given = {{"template", "sh -c 'exit {code}'"},
                                                    {"over", "code=0,0,1,0,2,0,0"}};
  const auto one = cleave::testing::run_job(command_workload(), given);
  EXPECT_EQ(one.verdict.kind, ErrorKind::failed_task);
  EXPECT_THAT(one.verdict.how, HasSubstr("2 of 7 tasks failed, the first is task 3: exit value 1"));
  for (const auto& split : cleave::testing::splits())
    EXPECT_EQ(cleave::testing::run_job(command_workload(), given, split).bytes, one.bytes);
}

TEST(CommandJob, IsVerifiedWhenAllEndedWell) {
  const auto answer =
      cleave::testing::run_job(command_workload(), {{"template", "true {x}"}, {"over", "x=1..5"}});
  EXPECT_EQ(answer.verdict.verify, Verify::ok);
  EXPECT_EQ(answer.tasks, 5);
  EXPECT_EQ(answer.work, 5);
}

} // namespace
} // namespace cleave::command
