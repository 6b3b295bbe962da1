// Launches that meet in one checkpoint: each has an attempt of its own, begins anew, or is told.
#include "../src/checkpoint/attempts.hpp"
#include "cleave/checkpoint.hpp"
#include "cleave/comm.hpp"
#include "store_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class AttemptsTest : public testing::StoreTest {
protected:
  const fs::path kept_ = in_folder("kept");
};

CheckpointOptions resuming(const fs::path& folder) {
  CheckpointOptions options;
  options.folder = folder;
  options.resume = true;
  return options;
}

TEST_F(AttemptsTest, EachAttemptOwnsItsFiles) {
  Comm::in_process(1, [&](Comm& comm) {
    const CheckpointOptions options = resuming(kept_);
    Checkpoint first(comm, options);
    first.begin();
    EXPECT_FALSE(first.superseded());
    Checkpoint second(comm, options);
    second.begin();
    EXPECT_EQ(second.attempt(), 2);
    EXPECT_TRUE(first.superseded());
    first.remove();
    EXPECT_TRUE(fs::exists(log_of(kept_, 2))) << "the first attempt removed what is not its own";
    second.remove();
    EXPECT_FALSE(fs::exists(kept_));
  });
}

TEST_F(AttemptsTest, TwoLaunchesAtOnceAreNotOneAttempt) {
  Comm::in_process(1, [&](Comm& comm) {
    const CheckpointOptions options = resuming(kept_);
    Checkpoint first(comm, options);
    Checkpoint second(comm, options);
    first.begin();
    EXPECT_THROW(second.begin(), Error);
  });
}

/// What a resumed launch says when `meanwhile(earlier)` comes between its look and its claim.
std::string refusal_after(const fs::path& folder,
                          const std::function<void(Checkpoint& earlier)>& meanwhile) {
  std::string said;
  Comm::in_process(1, [&](Comm& comm) {
    const CheckpointOptions options = resuming(folder);
    Checkpoint(comm, options).begin();
    Checkpoint earlier(comm, options);
    earlier.begin();
    Checkpoint later(comm, options);
    meanwhile(earlier);
    try {
      later.begin();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      said = error.what();
    }
  });
  return said;
}

TEST_F(AttemptsTest, ALaunchThatHasReadWhatIsStillWrittenIsRefused) {
  EXPECT_EQ(refusal_after(kept_, [](const Checkpoint&) {}), "");
  EXPECT_THAT(refusal_after(kept_, [](Checkpoint& earlier) { earlier.complete(0, 1); }),
              ::testing::HasSubstr("another launch"));
  EXPECT_THAT(refusal_after(kept_, [](Checkpoint& earlier) { earlier.remove(); }),
              ::testing::HasSubstr("another launch"));
  EXPECT_FALSE(fs::exists(kept_)) << "the refused launch left its log";
}

TEST_F(AttemptsTest, ALaunchIsToldWhenALaterOneHasEndedTheRun) {
  Comm::in_process(1, [&](Comm& comm) {
    const CheckpointOptions options = resuming(kept_);
    const CallKey call{.units = 1};
    {
      Checkpoint killed(comm, options);
      killed.begin();
      killed.keep(call, {0, 1}, {});
    }
    Checkpoint slow(comm, options);
    slow.begin();
    EXPECT_TRUE(slow.visit(call, [](TaskRange, std::span<const std::byte>) {}));
    Checkpoint later(comm, options);
    later.begin();
    later.remove();
    try {
      slow.visit(call, [](TaskRange, std::span<const std::byte>) {});
      ADD_FAILURE() << "it read a file that is gone";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("a later launch"));
    }
  });
}

TEST_F(AttemptsTest, ALaunchBeginsAnewWhileAnEndedOneRemovesItsFiles) {
  Comm::in_process(1, [&](Comm& comm) {
    CheckpointOptions options;
    options.folder = kept_;
    Checkpoint(comm, options).begin();
    ASSERT_TRUE(mark_as_ended(kept_, 1));
    EXPECT_FALSE(mark_as_ended(kept_, 1)) << "it was marked";
    Checkpoint anew(comm, options); // without resume as well
    anew.begin();
    EXPECT_EQ(anew.attempt(), 3);
    EXPECT_TRUE(anew.earlier().empty());
    remove_attempts(kept_, 2);
    EXPECT_EQ(read_attempts(kept_).attempts.size(), 1U) << "its files were removed";
    anew.remove();
    EXPECT_FALSE(fs::exists(kept_));
  });
}

/// Of two launches that meet at any instant, each goes on, begins anew or is told of the other.
TEST_F(AttemptsTest, LaunchesThatMeetAnEndingOneAreToldOrGoOn) {
  const auto until = std::chrono::steady_clock::now() + 1s;
  for (int round = 0; round < 1000 && std::chrono::steady_clock::now() < until; ++round)
    Comm::in_process(2, [&](Comm& both) {
      Comm::in_process(1, [&](Comm& comm) {
        const CheckpointOptions options = resuming(kept_);
        std::optional<Checkpoint> earlier;
        if (both.is_root()) {
          Checkpoint(comm, options).begin();
          earlier.emplace(comm, options);
          earlier->begin();
        }
        both.barrier();
        if (earlier)
          return earlier->remove();
        std::this_thread::sleep_for(std::chrono::microseconds(round % 200));
        try {
          Checkpoint later(comm, options);
          later.begin();
          EXPECT_TRUE(later.active());
          later.flush(false);
          EXPECT_FALSE(later.trouble()) << later.trouble()->what();
          later.remove();
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
        }
      });
      both.barrier();
      if (both.is_root())
        remove_attempts(kept_);
      both.barrier();
    });
}

} // namespace
} // namespace cleave
