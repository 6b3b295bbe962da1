// What a study makes of the files of a point that others may be measuring.
#include "cleave/store.hpp"
#include "store_fixture.hpp"
#include "store_sample.hpp"
#include "study/study_points.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

namespace cleave {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class StudyPointsTest : public testing::StoreTest {
protected:
  StudyPointsTest() { fs::create_directories(points_.folder()); }

  /// The timings of a visit, of one repetition, while they are being written.
  Store visited(int visit) {
    Store store(points_.timings(point_, visit), sample_info(), {1, 0, false});
    store.commit(0, sample_repetition(0, "block"));
    return store;
  }
  [[nodiscard]] std::size_t measured() const { return status_.measured.samples.size(); }
  void look() { points_.look(point_, measure_, status_); }

  StudyPoints points_{folder_};
  const PlannedPoint point_ = [] {
    PlannedPoint point;
    point.stem = "sum-1x1";
    return point;
  }();
  const Measure measure_{.repetitions = 10};
  PointStatus status_;
};

TEST_F(StudyPointsTest, LeavesOutTheFileThatAnotherStudyMayBeWriting) {
  { const Store whole = visited(1); }
  std::optional<Store> written(visited(2));
  std::ofstream(points_.claim(point_)) << R"({"host":"elsewhere","pid":12,"started":5})"
                                       << "\n";
  look();
  EXPECT_EQ(measured(), 1U);
  EXPECT_EQ(status_.standing, Standing::running);
  written.reset();
  look();
  EXPECT_EQ(measured(), 1U) << "its lock does not tell on every file system";
  fs::remove(points_.claim(point_));
  look();
  EXPECT_EQ(measured(), 2U);
  EXPECT_EQ(status_.standing, Standing::partly);
}

/// Ranks may outlive the launch of a study that had the claim before.
TEST_F(StudyPointsTest, WaitsForWhatIsBeingWrittenWhereItHasTheClaim) {
  const auto ours = Claim::take(points_.claim(point_));
  ASSERT_TRUE(ours);
  std::optional<Store> written(visited(1));
  const std::jthread writer([&] {
    std::this_thread::sleep_for(300ms);
    written.reset();
  });
  look();
  EXPECT_EQ(measured(), 1U);
  EXPECT_EQ(status_.standing, Standing::partly);
}

} // namespace
} // namespace cleave
