/// @file
/// The main of every MPI test: all ranks run the same tests in step, rank 0 alone prints, a failure
/// on any rank fails the test everywhere, and a test that hangs is named and aborted.
///
/// Use EXPECT_, never ASSERT_, in such tests: a rank that returns early leaves the others waiting.

#include "cleave/session.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace testing;

/// The line that the watchdog prints: made beforehand, since a signal handler must not allocate.
/// A global, the only road into a signal handler.
char last_words[512];

/// Says where this rank is and ends the job. The pause lets the other ranks say it as well.
void on_alarm(int) {
  void* frames[64];
  const int depth = backtrace(frames, 64);
  [[maybe_unused]] auto written = write(STDERR_FILENO, last_words, std::strlen(last_words));
  backtrace_symbols_fd(frames, depth, STDERR_FILENO);
  sleep(1);
  abort();
}

/// Gathers the failures of all ranks at the end of each test, which also keeps the ranks in step.
class RanksListener : public EmptyTestEventListener {
public:
  RanksListener(MPI_Comm comm, unsigned patience_s) : comm_(comm), patience_s_(patience_s) {
    MPI_Comm_rank(comm, &rank_);
    MPI_Comm_size(comm, &size_);
  }

private:
  void OnTestStart(const TestInfo& test) override {
    std::snprintf(last_words, sizeof last_words,
                  "%s.%s: still running after %u s on rank %d of %d\n", test.test_suite_name(),
                  test.name(), patience_s_, rank_, size_);
    alarm(patience_s_);
  }

  void OnTestEnd(const TestInfo& test) override {
    const auto texts = gather(failures(*test.result()));
    int failed = test.result()->Failed() ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, comm_);
    alarm(0);
    for (int r = 1; r < size_ && rank_ == 0; ++r)
      if (const auto& text = texts[static_cast<std::size_t>(r)]; !text.empty())
        ADD_FAILURE() << "[rank " << r << "] " << text;
    if (failed != 0 && !test.result()->Failed())
      ADD_FAILURE() << "failed on another rank"; // so that all ranks go on, and end, in one way
  }

  static std::string failures(const TestResult& result) {
    std::string text;
    for (int i = 0; i < result.total_part_count(); ++i) {
      const auto& part = result.GetTestPartResult(i);
      if (part.failed() && part.file_name() != nullptr)
        text += std::string(part.file_name()) + ":" + std::to_string(part.line_number()) + ": ";
      if (part.failed())
        text += std::string(part.message()) + "\n";
    }
    return text;
  }

  /// The text of every rank at rank 0; a place for each rank, empty ones, elsewhere.
  std::vector<std::string> gather(const std::string& text) const {
    constexpr int tag = 0;
    std::vector<std::string> texts(static_cast<std::size_t>(size_));
    if (rank_ != 0)
      MPI_Send(text.data(), static_cast<int>(text.size()), MPI_CHAR, 0, tag, comm_);
    for (int r = 1; r < size_ && rank_ == 0; ++r) {
      MPI_Status status;
      int length = 0;
      MPI_Probe(r, tag, comm_, &status);
      MPI_Get_count(&status, MPI_CHAR, &length);
      auto& from = texts[static_cast<std::size_t>(r)];
      from.resize(static_cast<std::size_t>(length));
      MPI_Recv(from.data(), length, MPI_CHAR, r, tag, comm_, MPI_STATUS_IGNORE);
    }
    return texts;
  }

  MPI_Comm comm_;
  unsigned patience_s_;
  int rank_ = 0;
  int size_ = 0;
};

/// Seconds of --patience=N, after which a test is taken for hung; 60 without it.
unsigned patience(int argc, char** argv) {
  constexpr std::string_view option = "--patience=";
  unsigned seconds = 60;
  for (int i = 1; i < argc; ++i)
    if (const std::string_view arg = argv[i]; arg.starts_with(option))
      std::from_chars(arg.data() + option.size(), arg.data() + arg.size(), seconds);
  return seconds;
}

/// Which tests run, how often and in which order must not differ between ranks.
void agree_on_tests(MPI_Comm comm) {
  std::string filter = GTEST_FLAG_GET(filter);
  int length = static_cast<int>(filter.size());
  MPI_Bcast(&length, 1, MPI_INT, 0, comm);
  filter.resize(static_cast<std::size_t>(length));
  MPI_Bcast(filter.data(), length, MPI_CHAR, 0, comm);
  int repeat = GTEST_FLAG_GET(repeat);
  MPI_Bcast(&repeat, 1, MPI_INT, 0, comm);
  GTEST_FLAG_SET(filter, filter);
  GTEST_FLAG_SET(repeat, repeat);
  GTEST_FLAG_SET(shuffle, false);
}

int run_tests(MPI_Comm comm, unsigned patience_s) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  agree_on_tests(comm);
  auto& listeners = UnitTest::GetInstance()->listeners();
  if (rank != 0) {
    delete listeners.Release(listeners.default_result_printer());
    delete listeners.Release(listeners.default_xml_generator());
  }
  listeners.Append(new RanksListener(comm, patience_s)); // gtest owns it
  int status = RUN_ALL_TESTS();
  if (UnitTest::GetInstance()->test_to_run_count() == 0)
    status = 1; // a filter that matches nothing must not pass
  MPI_Allreduce(MPI_IN_PLACE, &status, 1, MPI_INT, MPI_MAX, comm);
  return status;
}

} // namespace

int main(int argc, char** argv) {
  cleave::Session session(argc, argv);
  InitGoogleTest(&argc, argv);
  void* frame = nullptr;
  backtrace(&frame, 1); // loads what the handler needs
  std::signal(SIGALRM, on_alarm);
  MPI_Comm comm = MPI_COMM_NULL; // of its own: its messages cannot meet those of a test
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  const int status = run_tests(comm, patience(argc, argv));
  MPI_Comm_free(&comm);
  return status;
}
