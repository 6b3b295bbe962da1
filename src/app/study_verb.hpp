/// @file
/// `cleave study`: runs over many layouts, each a fresh launch.
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

/// What the user typed for `cleave study`, as texts.
struct StudyRequest {
  std::string file;                     ///< STUDY.toml
  std::optional<std::string> directory; ///< -o
  std::optional<std::string> launcher, budget;
  std::vector<std::string> only; ///< KEY=VALUE
  bool resume = false;
  bool oversubscribe = false;
  bool dry_run = false;
};

/// Adds the verb and its options, which write into `request`. Local.
[[nodiscard]] CLI::App* add_study(CLI::App& app, StudyRequest& request);

/// Does it, in this process alone and without MPI. @return the exit status @throws Error
[[nodiscard]] int carry_out_study(const Command& command, const std::vector<Workload>& workloads);

} // namespace cleave::app
