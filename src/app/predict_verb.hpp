/// @file
/// `cleave predict`: measured runs replayed on larger machines.
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

/// What the user typed for `cleave predict`, as texts.
struct PredictRequest {
  std::string result;
  std::string format = "text";
  std::optional<std::string> ranks, cores_per_node, schedules, tasks, efficiency, deadline;
  std::vector<std::string> costs;
};

/// Adds the verb and its options, which write into `request`. Local.
[[nodiscard]] CLI::App* add_predict(CLI::App& app, PredictRequest& request);

/// Does it, in this process alone and without MPI. @return the exit status @throws Error
[[nodiscard]] int carry_out_predict(const Command& command, const std::vector<Workload>& workloads);

} // namespace cleave::app
