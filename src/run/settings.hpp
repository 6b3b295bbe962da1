/// @file
/// The settings of a run as typed parameters, wherever they come from: a job file or the command
/// line. One table, so that both are validated and reported alike.
#pragma once

#include "cleave/run.hpp"

#include <map>
#include <string>
#include <vector>

namespace cleave {

/// What a job file or a command line says, before validation: name -> text and place.
using Given = std::map<std::string, Values::Given>;

/// The settings by name, with types, ranges and defaults. Local, thread-safe.
[[nodiscard]] std::vector<Parameter> setting_parameters();

/// A job file taken apart; nothing is validated but the types of its values.
struct JobFile {
  std::string workload;
  Given settings;
  Given parameters;
};

/// Takes a job file apart. Local, thread-safe.
/// @throws Error bad_input for a TOML syntax error, an unknown key or table, a missing or unknown
///         workload, a value of the wrong TOML type; with file, line and key
[[nodiscard]] JobFile parse_job_file(const JobText& job, const std::vector<Workload>& workloads);

} // namespace cleave
