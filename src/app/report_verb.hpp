/// @file
/// `cleave report`: tables, figures and pages from timings files.
#pragma once

#include "cleave/workload.hpp"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cleave::app {

struct Command;

/// What the user typed for `cleave report`, as texts.
struct ReportRequest {
  std::vector<std::string> results;
  std::optional<std::string> directory; ///< -o
  std::optional<std::string> formats;
  bool strict = false;
};

/// Adds the verb and its options, which write into `request`. Local.
[[nodiscard]] CLI::App* add_report(CLI::App& app, ReportRequest& request);

/// Does it, in this process alone and without MPI. @return the exit status @throws Error
[[nodiscard]] int carry_out_report(const Command& command, const std::vector<Workload>& workloads);

} // namespace cleave::app
