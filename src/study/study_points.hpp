/// @file
/// The points of a study on the disk: their timings files, what the last launch said, and claims.
#pragma once

#include "cleave/study.hpp"
#include "study_claim.hpp"

#include <filesystem>
#include <set>
#include <string>

namespace cleave {

/// DIR/points and what is in it.
class StudyPoints {
public:
  explicit StudyPoints(std::filesystem::path directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::filesystem::path folder() const { return directory_ / "points"; }
  /// Of visit number `visit` to a point.
  [[nodiscard]] std::filesystem::path timings(const PlannedPoint& point, int visit) const;
  [[nodiscard]] std::filesystem::path log(const PlannedPoint& point, int visit) const;
  [[nodiscard]] std::filesystem::path claim(const PlannedPoint& point) const;
  /// A file that always exists.
  [[nodiscard]] std::filesystem::path record() const { return directory_ / "study.json"; }

  /// Takes in what is new of a point, and tells where it stands. @throws Error bad_input for a
  /// damaged timings file
  void look(const PlannedPoint& point, const Measure& measure, PointStatus& status);

  /// Removes what killed launches have left beside their timings. @pre the point is claimed by us
  void sweep(const PlannedPoint& point) const;

private:
  std::filesystem::path directory_;
  std::set<std::filesystem::path> read_; // timings files: they do not change once they are whole
};

/// Waits until no process has the file locked any more, as ranks have whose launcher was killed;
/// 10 s at most.
void await_release(const std::filesystem::path& timings);

/// What a failed launch said last: our own error, or else its last line; and how it ended.
[[nodiscard]] std::string last_words(const std::filesystem::path& log);

} // namespace cleave
