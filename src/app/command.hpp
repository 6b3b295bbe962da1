/// @file
/// The command line as one plain value; nothing looks at argv afterwards.
#pragma once

#include "cleave/run.hpp"
#include "compare_verb.hpp"
#include "predict_verb.hpp"
#include "report_verb.hpp"
#include "slurm_verb.hpp"
#include "study_verb.hpp"

#include <optional>
#include <string>
#include <variant>

namespace cleave::app {

/// What the user wants done.
enum class Verb : std::uint8_t { run, layout, list, study, report, compare, predict, slurm };

/// A command line, parsed.
struct Command {
  Verb verb = Verb::run;
  Request request;                     ///< of run; layout uses its ranks and threads
  std::optional<std::string> workload; ///< of list; all when not given
  StudyRequest study;
  ReportRequest report;
  CompareRequest compare;
  PredictRequest predict;
  SlurmRequest slurm;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  std::string log_level = "warning";
  std::optional<int> attach; ///< of run: the rank that waits for a debugger
};

/// An end before any work: help, the version, or a refusal.
struct Farewell {
  int status = 0;
  std::string text;  ///< for standard output, or the message when status is not 0
  bool json = false; ///< a refusal is also wanted as JSON
};

/// Parses the command line. Local; neither prints nor exits. To add an option: a member in Request
/// or Command, a line in the function of its verb here, and its words in docs/cleave.1.
[[nodiscard]] std::variant<Command, Farewell> parse_command(int argc, char** argv);

} // namespace cleave::app
