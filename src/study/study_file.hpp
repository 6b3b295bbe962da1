/// @file
/// A study file taken apart: what it says, with nothing decided yet.
#pragma once

#include "cleave/study.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cleave {

/// What a study file says. Empty lists and 0: it does not say.
struct StudyFile {
  /// A parameter and all its values.
  struct Axis {
    std::string name;
    std::vector<std::string> texts;
    ErrorPlace place;
  };
  StudyMode mode = StudyMode::strong;
  std::vector<int> ranks; ///< ascending
  std::vector<int> threads;
  std::vector<std::string> schedules;
  int cores = 0;
  std::vector<Axis> parameters;
  Measure measure;
  SlurmSettings slurm;
  std::map<std::string, ErrorPlace> places; ///< of the keys at the top
  std::string file;

  /// Where a key stands, or would stand.
  [[nodiscard]] ErrorPlace place(const std::string& key) const;
};

/// Takes it apart. Local, thread-safe.
/// @throws Error bad_input for a TOML syntax error, an unknown key or table, a value of the wrong
///         type or out of its range; with file, line and key
[[nodiscard]] StudyFile parse_study_file(const JobText& study, const Workload& workload);

/// The job it names: a workload's name, or the path of a job file as seen from here.
/// @throws Error bad_input when it names none
[[nodiscard]] std::string job_of_study(const JobText& study);

/// The first difference in what two TOML texts say, "KEY was A, is B", or nothing: comments and
/// order say nothing. Tables named in `ignored` may differ.
[[nodiscard]] std::optional<std::string> toml_difference(const JobText& before, const JobText& now,
                                                         const std::string& ignored = {});

} // namespace cleave
