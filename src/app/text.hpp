/// @file
/// What people read: the run as it goes, its report, the layout, the list of workloads.
#pragma once

#include "cleave/layout.hpp"
#include "cleave/run.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace cleave::app {

/// "cleave: error: PLACE: MESSAGE". @param rank told when not negative
[[nodiscard]] std::string error_text(const Error& error, int rank = -1);

/// The header of a run: layout, workload, what the doctor warns of.
[[nodiscard]] std::string start_text(const RunStart& start, bool verbose);

/// What --dry-run adds: leaves, memory, files.
[[nodiscard]] std::string dry_run_text(const RunStart& start);

/// Time, rate, imbalance, verdict, answer and files.
[[nodiscard]] std::string report_text(const RunReport& report, bool verbose);

/// One repetition, for --verbose.
[[nodiscard]] std::string repetition_text(const Repetition& repetition, int index, bool warm_up);

/// Who runs where, and all findings. @param data_path shown when not empty
[[nodiscard]] std::string layout_text(const Layout& layout, const std::string& data_path,
                                      const Circumstances& circumstances);

/// The workloads, one a line.
[[nodiscard]] std::string list_text(const std::vector<Workload>& workloads);

/// One workload and its parameters.
[[nodiscard]] std::string workload_text(const Workload& workload);

/// Progress on standard error: one line rewritten on a terminal, else a line per 30 s.
class ProgressLine {
public:
  ProgressLine();
  void show(const Progress& progress);
  /// Wipes the line before something else is printed.
  void clear();

private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point next_;
};

} // namespace cleave::app
