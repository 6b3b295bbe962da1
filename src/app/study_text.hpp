/// @file
/// A study for people: its points, their commands, how far it has come.
#pragma once

#include "cleave/study.hpp"

#include <chrono>
#include <span>
#include <string>

namespace cleave::app {

/// "4 min 10 s".
[[nodiscard]] std::string study_time_text(double seconds);

/// What --dry-run tells: every chosen point, its state and its next command.
/// @param queued ids of batch jobs by number of nodes
[[nodiscard]] std::string study_dry_run_text(const StudyPlan& plan, const StudyOptions& options,
                                             std::span<const PointStatus> points,
                                             const std::map<int, std::string>& queued);

/// What was measured: a row for each chosen point.
[[nodiscard]] std::string study_summary_text(const StudyPlan& plan, const StudyOptions& options,
                                             std::span<const PointStatus> points);

/// Progress on standard error: one line rewritten on a terminal, else a line a visit.
class StudyProgress {
public:
  explicit StudyProgress(const StudyPlan& plan);
  void show(const StudyVisit& visit);
  void note(const std::string& text);
  /// Wipes the line before something else is printed.
  void clear();

private:
  void put(const std::string& text, bool for_good);

  const StudyPlan& plan_;
  bool terminal_;
  bool shown_ = false;
};

} // namespace cleave::app
