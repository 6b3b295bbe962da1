// Checkpoints: folders that are refused, and calls of the Pool that one launch begins and another,
// of other ranks, threads and schedule, goes on with.
#include "cleave/pool.hpp"
#include "store_fixture.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class CheckpointTest : public testing::StoreTest {
protected:
  const fs::path kept_ = in_folder("kept");
};

// Young: sqrt(2 * 10 s * 1 day) = 1314.5 s; and 100 times the cost where failures are so frequent
// that it would be less.
TEST(CheckpointInterval, IsYoungsAndCostsAHundredthAtMost) {
  EXPECT_NEAR(checkpoint_interval_s(10, 86'400), 1314.5, 0.1);
  EXPECT_DOUBLE_EQ(checkpoint_interval_s(1, 60), 100);
}

/// A launch of a program.
struct Launch {
  int ranks = 1;
  int threads = 1;
  int ranks_per_node = 0;
  const char* schedule = "auto";
  DataPath path = DataPath::automatic;
};

/// What a launch came to.
struct Outcome {
  std::string answer; ///< empty when it was stopped
  std::int64_t tasks = 0;
  int attempt = 0;
  RepState state = RepState::empty;
};

/// Computes something, told of each task; its answer at root.
using Program = std::function<std::string(Pool&, const std::function<void()>& task)>;

/// Runs the program, and stops it after `stop_after` tasks.
Outcome launch(const fs::path& folder, const Launch& how, const Program& program,
               std::int64_t stop_after) {
  Outcome outcome;
  std::atomic<std::int64_t> tasks = 0;
  CommOptions comm_options;
  comm_options.ranks_per_node = how.ranks_per_node;
  Comm::in_process(
      how.ranks,
      [&](Comm& comm) {
        CheckpointOptions options;
        options.folder = folder;
        options.resume = true;
        options.facts = {{"program", "one"}};
        options.stop = [&] { return tasks >= stop_after; };
        Checkpoint checkpoint(comm, options);
        checkpoint.begin();
        {
          PoolOptions pool_options;
          pool_options.threads = how.threads;
          pool_options.schedule = Schedule::parse(how.schedule);
          pool_options.data_path = how.path;
          Pool pool(comm, pool_options);
          pool.keep_in(&checkpoint);
          try {
            std::string answer;
            const Repetition repetition = pool.measure([&] {
              answer = program(pool, [&tasks] {
                ++tasks;
                std::this_thread::sleep_for(1ms);
              });
            });
            if (comm.is_root()) {
              outcome.answer = answer;
              outcome.state = repetition.state;
            }
          } catch (const MapError& error) {
            EXPECT_NE(std::string(error.what()).find("asked to stop"), std::string::npos)
                << error.what();
          }
        }
        checkpoint.end();
        if (comm.is_root())
          outcome.attempt = checkpoint.attempt();
      },
      comm_options);
  outcome.tasks = tasks;
  return outcome;
}

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t count = 600;

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::vector<Launch> launches() {
  return {{1, 1, 0, "auto"},
          {2, 1, 0, "block"},
          {1, 3, 0, "cyclic,5"},
          {3, 2, 0, "dynamic,2"},
          {2, 2, 0, "guided", DataPath::window},
          {4, 1, 2, "factoring"},
          {3, 1, 1, "block"}};
}

/// Stops it in one launch and goes on in the next, until it comes to its end: no task is computed
/// twice, and the answer is that of a launch which nobody stopped.
void expect_same_answer(const fs::path& folder, const Program& program, std::int64_t tasks) {
  const Outcome whole = launch(folder / "whole", {2, 2}, program, never);
  EXPECT_EQ(whole.tasks, tasks);
  EXPECT_EQ(whole.state, RepState::done);
  const std::vector<Launch> all = launches();
  for (std::size_t first = 0; first < all.size(); ++first) {
    const fs::path kept = folder / ("kept" + std::to_string(first));
    std::int64_t sum = 0;
    Outcome last;
    for (std::size_t turn = 0; turn < 20 && last.answer.empty(); ++turn) {
      last = launch(kept, all[(first + turn) % all.size()], program, turn < 2 ? tasks / 10 : never);
      sum += last.tasks;
      EXPECT_EQ(last.attempt, static_cast<int>(turn) + 1);
    }
    EXPECT_EQ(last.answer, whole.answer) << first;
    EXPECT_EQ(sum, tasks) << first;
    EXPECT_EQ(last.state, last.attempt == 1 ? RepState::done : RepState::resumed);
  }
}

TEST_F(CheckpointTest, MapGoesOn) {
  expect_same_answer(
      folder_,
      [](Pool& pool, const auto& task) {
        return raw(pool.map(
            [&task](std::int64_t i) {
              task();
              return std::sqrt(static_cast<double>(i));
            },
            count));
      },
      count);
}

TEST_F(CheckpointTest, MapOfInputsThatAreArchivedGoesOn) {
  std::vector<std::string> inputs;
  for (std::int64_t i = 0; i < count; ++i)
    inputs.push_back(std::string(static_cast<std::size_t>(i % 40), 'a'));
  expect_same_answer(
      folder_,
      [&inputs](Pool& pool, const auto& task) {
        std::string all;
        for (const std::string& one : pool.map(
                 [&task](const std::string& text, Worker& worker) {
                   task();
                   return text + std::to_string(worker.random()());
                 },
                 inputs))
          all += one + "\n";
        return all;
      },
      count);
}

TEST_F(CheckpointTest, ReductionsGoOn) {
  expect_same_answer(
      folder_,
      [](Pool& pool, const auto& task) {
        const double sum = pool.map_reduce(
            [&task](std::int64_t i) {
              task();
              return 1.0 / static_cast<double>(i + 1);
            },
            count / 2, std::plus<>(), 0.0, {.grain = 3});
        const std::vector<double> inputs(static_cast<std::size_t>(count / 2), 1.1);
        const double product = pool.map_reduce(
            [&task](double one) {
              task();
              return one;
            },
            inputs, std::multiplies<>(), 1.0);
        return raw(std::vector<double>{sum, product});
      },
      count);
}

TEST_F(CheckpointTest, BandsGoOn) {
  constexpr std::int64_t width = 5;
  std::vector<float> in(static_cast<std::size_t>(count * width));
  for (std::size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<float>(i % 1001);
  expect_same_answer(
      folder_,
      [&in](Pool& pool, const auto& task) {
        const auto of_rows = [&task](TaskRange rows, TaskRange in_rows, std::span<const float> read,
                                     std::span<float> written, Worker&) {
          for (std::int64_t row = rows.first; row < rows.last; ++row) {
            task();
            for (std::int64_t x = 0; x < width; ++x) {
              const auto above = std::max(row - 1, in_rows.first) - in_rows.first;
              const auto below = std::min(row + 1, in_rows.last - 1) - in_rows.first;
              written[static_cast<std::size_t>((row - rows.first) * width + x)] =
                  read[static_cast<std::size_t>(above * width + x)] +
                  read[static_cast<std::size_t>(below * width + x)];
            }
          }
        };
        return raw(pool.map_bands<float>(
            of_rows, in,
            BandShape{
                .rows = count, .in_width = width, .out_width = width, .halo = 1, .grain = 4}));
      },
      count);
}

TEST_F(CheckpointTest, MapThatCollectsFailuresGoesOn) {
  const Program program = [](Pool& pool, const auto& task) {
    const auto outcome = pool.map_collect(
        [&task](std::int64_t i) {
          task();
          if (i % 100 == 7)
            throw std::runtime_error("seven");
          return i * i;
        },
        count);
    std::string all;
    for (const auto& one : outcome.results)
      all += one ? std::to_string(*one) + " " : "- ";
    return all + std::to_string(outcome.failures.size());
  };
  const Outcome whole = launch(folder_ / "whole", {2, 2}, program, never);
  const Outcome begun = launch(kept_, {2, 1}, program, 100);
  const Outcome ended = launch(kept_, {3, 1}, program, never);
  EXPECT_TRUE(begun.answer.empty()) << "tasks that were not begun have no results";
  EXPECT_LT(ended.tasks, count - 50);
  EXPECT_EQ(ended.answer, whole.answer);
}

TEST_F(CheckpointTest, WhatWasUnderWayIsKeptWhenProgressEndsTheCall) {
  std::atomic<int> tasks = 0;
  const auto launched = [&](bool stop) {
    double answer = 0;
    Comm::in_process(1, [&](Comm& comm) {
      CheckpointOptions options;
      options.folder = kept_;
      options.resume = true;
      Checkpoint checkpoint(comm, options);
      checkpoint.begin();
      PoolOptions pool_options{.threads = 1};
      pool_options.on_progress = [stop](double) {
        if (stop)
          throw Error(ErrorKind::interrupted, "enough");
      };
      Pool pool(comm, pool_options);
      pool.keep_in(&checkpoint);
      try {
        answer = pool.map_reduce(
            [&](std::int64_t i) {
              ++tasks;
              std::this_thread::sleep_for(150ms);
              return static_cast<double>(i);
            },
            4, std::plus<>(), 0.0);
      } catch (const MapError&) {
        EXPECT_TRUE(stop);
      }
      checkpoint.end();
    });
    return answer;
  };
  EXPECT_EQ(launched(true), 0);
  EXPECT_EQ(tasks, 1) << "it is told of the first task's end";
  EXPECT_EQ(launched(false), 6);
  EXPECT_EQ(tasks, 4) << "none was computed twice";
}

TEST_F(CheckpointTest, AnIterationGoesOnFromItsState) {
  const Program program = [](Pool& pool, const auto& task) {
    struct State {
      std::int64_t pass;
      double sum;
    };
    State state = pool.saved<State>().value_or(State{0, 0});
    for (; state.pass < 15; ++state.pass) {
      pool.save([&state] { return state; });
      const double part = pool.map_reduce(
          [&](std::int64_t i, Worker& worker) {
            task();
            return worker.random().uniform() * static_cast<double>(i);
          },
          100, std::plus<>(), 0.0);
      state.sum = state.sum / 2 + part;
    }
    return raw(std::vector<double>{state.sum});
  };
  const Outcome whole = launch(folder_ / "whole", {1, 2}, program, never);
  const Outcome begun = launch(kept_, {1, 1}, program, 1200);
  const Outcome ended = launch(kept_, {2, 1}, program, never);
  EXPECT_TRUE(begun.answer.empty());
  EXPECT_EQ(ended.answer, whole.answer);
  EXPECT_LT(ended.tasks, 1000) << "it began anew";
}

/// A checkpoint as a run would make it, with these facts.
void make(const fs::path& folder, const Facts& facts, bool resume,
          const std::vector<std::string>& may_differ = {}) {
  Comm::in_process(1, [&](Comm& comm) {
    CheckpointOptions options;
    options.folder = folder;
    options.resume = resume;
    options.facts = facts;
    options.may_differ = may_differ;
    Checkpoint(comm, options).begin();
  });
}

TEST_F(CheckpointTest, AnotherJobsIsRefusedByWhatDiffers) {
  const Facts facts = {{"workload", "ep"}, {"parameter class", "A"}, {"build_id", "12"}};
  make(kept_, facts, false);
  const auto refusal = [&](Facts other, bool resume) {
    try {
      make(kept_, other, resume);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return std::string(error.what());
    }
    return std::string();
  };
  Facts other = facts;
  other["parameter class"] = "B";
  EXPECT_THAT(refusal(other, true), ::testing::HasSubstr("parameter class was A and is B now"));
  other = facts;
  other.erase("parameter class");
  EXPECT_THAT(refusal(other, true), ::testing::HasSubstr("was A and is nothing now"));
  other = facts;
  other["build_id"] = "13";
  EXPECT_THAT(refusal(other, true), ::testing::HasSubstr("--accept-new-binary"));
  EXPECT_THAT(refusal(facts, false), ::testing::HasSubstr("--resume"));
  EXPECT_NO_THROW(make(kept_, other, true, {"build_id"}));
  EXPECT_NO_THROW(make(kept_, other, true));
}

TEST_F(CheckpointTest, AStrangersFolderIsRefusedWhereAnybodyMayMakeOne) {
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can make folders of others";
  const fs::path shared = kept_.parent_path() / "shared";
  fs::create_directory(shared);
  ASSERT_EQ(chmod(shared.c_str(), 01777), 0);
  fs::create_directory(shared / "own");
  fs::create_directory_symlink(kept_.parent_path(), shared / "link");
  for (const bool strangers : {false, true})
    for (const char* name : {"own", "own/", "link"}) {
      constexpr uid_t stranger = 12'345;
      const fs::path folder = shared / name;
      const fs::path entry = folder.has_filename() ? folder : folder.parent_path();
      ASSERT_EQ(lchown(entry.c_str(), strangers ? stranger : 0, 0), 0);
      if (strangers)
        EXPECT_THROW(make(folder, {}, true), Error) << name;
      else
        EXPECT_NO_THROW(make(folder, {}, true)) << name;
    }
}

TEST_F(CheckpointTest, TroubleIsToldOnceAndNotAfterTheEnd) {
  Comm::in_process(1, [&](Comm& comm) {
    for (const bool ended : {false, true}) {
      int told = 0;
      CheckpointOptions options;
      options.folder = kept_;
      options.on_trouble = [&told](const Error&) { ++told; };
      Checkpoint checkpoint(comm, options);
      checkpoint.begin();
      if (ended)
        checkpoint.end();
      fs::remove_all(kept_);
      checkpoint.flush(false);
      checkpoint.flush(false);
      EXPECT_TRUE(checkpoint.trouble());
      EXPECT_EQ(told, ended ? 0 : 1);
    }
  });
}

} // namespace
} // namespace cleave
