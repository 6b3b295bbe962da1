// Comm over threads of this process, under the thread sanitizer as well.
#include "comm_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace cleave {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Texts from several threads.
class Notes {
public:
  void add(const std::string& text) {
    const std::lock_guard lock(mutex_);
    texts_.push_back(text);
  }
  std::vector<std::string> texts() {
    const std::lock_guard lock(mutex_);
    return texts_;
  }

private:
  std::mutex mutex_;
  std::vector<std::string> texts_;
};

TEST(CommInProcess, KeepsItsPromisesAtEverySizeAndMessageLimit) {
  for (const int ranks : {1, 2, 3, 5})
    for (const int ranks_per_node : {0, 1, 2})
      for (const std::int64_t limit : {1, 1024, 64 << 20}) {
        CommOptions options;
        options.message_limit = limit;
        options.ranks_per_node = ranks_per_node;
        SCOPED_TRACE(std::to_string(ranks) + " ranks, " + std::to_string(ranks_per_node) +
                     " a node, limit " + std::to_string(limit));
        if (limit == 1 && ranks > 2)
          continue; // a message a byte: slow, and the same code
        Comm::in_process(
            ranks, [](Comm& comm) { cleave::testing::check_comm(comm); }, options);
      }
}

TEST(CommInProcess, RefusesOptionsThatMeanNothing) {
  const auto with = [](std::int64_t limit, double patience) {
    CommOptions options;
    options.message_limit = limit;
    options.patience_s = patience;
    Comm::in_process(
        1, [](Comm&) {}, options);
  };
  EXPECT_THROW(with(0, 1), Error);
  EXPECT_THROW(with(-5, 1), Error);
  EXPECT_THROW(with(1, 0), Error);
  EXPECT_THROW(with(1, -1), Error);
  EXPECT_THROW(with(1, std::numeric_limits<double>::quiet_NaN()), Error);
  EXPECT_NO_THROW(with(1, 1e-3));
}

// All have left the first barrier, and all hear of rank 2 in the second, whoever is the quicker.
TEST(CommInProcess, EndsTheOthersWhenARankLeaves) {
  for (int time = 0; time < 8; ++time)
    for (const int ranks_per_node : {0, 1, 2}) {
      CommOptions options;
      options.ranks_per_node = ranks_per_node;
      Notes notes;
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_THROW(Comm::in_process(
                       4,
                       [&](Comm& comm) {
                         comm.barrier();
                         if (comm.rank() == 2)
                           throw std::runtime_error("enough");
                         try {
                           comm.barrier();
                         } catch (const Error& error) {
                           EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
                           notes.add(error.what());
                           throw;
                         }
                       },
                       options),
                   std::exception);
      EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
      EXPECT_EQ(notes.texts().size(), 3U);
      EXPECT_THAT(notes.texts(), Each(AllOf(HasSubstr("rank 2"), HasSubstr("has left: enough"))));
    }
}

TEST(CommInProcess, SurvivesThatAllRanksLeaveAtOnce) {
  for (int time = 0; time < 20; ++time)
    EXPECT_THROW(Comm::in_process(4,
                                  [](Comm& comm) {
                                    comm.barrier();
                                    throw std::runtime_error("rank " + std::to_string(comm.rank()));
                                  }),
                 std::runtime_error);
}

TEST(CommInProcess, NamesARankThatIsLate) {
  Notes notes;
  CommOptions options;
  options.patience_s = 0.2;
  options.on_absent = [&](const std::string& text) { notes.add(text); };
  Comm::in_process(
      3,
      [](Comm& comm) {
        if (comm.rank() == 2)
          std::this_thread::sleep_for(1500ms);
        comm.barrier();
      },
      options);
  // Again and again, and never by the late rank itself.
  EXPECT_GE(notes.texts().size(), 3U);
  EXPECT_THAT(notes.texts(),
              ::testing::Contains(AllOf(HasSubstr("rank 0"), HasSubstr("for rank 2"))));
  EXPECT_THAT(notes.texts(), Each(Not(::testing::StartsWith("rank 2"))));
}

TEST(CommInProcess, DoesNotNameAnybodyBeforePatienceEnds) {
  Notes notes;
  CommOptions options;
  options.patience_s = 30;
  options.on_absent = [&](const std::string& text) { notes.add(text); };
  Comm::in_process(
      2,
      [](Comm& comm) {
        if (comm.is_root())
          std::this_thread::sleep_for(700ms);
        comm.barrier();
      },
      options);
  EXPECT_THAT(notes.texts(), IsEmpty());
}

TEST(CommInProcess, SleepsWhileItWaits) {
  const double before = cleave::testing::cpu_seconds();
  Comm::in_process(4, [](Comm& comm) {
    if (comm.rank() == 3)
      std::this_thread::sleep_for(2s);
    comm.barrier();
  });
  EXPECT_LT(cleave::testing::cpu_seconds() - before, 0.1);
}

} // namespace
} // namespace cleave
