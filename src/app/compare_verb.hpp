/// @file
/// `cleave compare`: whether one set of runs is faster than another.
#pragma once

#include "cleave/workload.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cleave::app {

struct Command;

/// What the user typed for `cleave compare`, as texts.
struct CompareRequest {
  std::string base;
  std::string now;
  std::string threshold = "2%";
  std::string format = "text";
};

/// Adds the verb and its options, which write into `request`. Local.
[[nodiscard]] CLI::App* add_compare(CLI::App& app, CompareRequest& request);

/// Does it, in this process alone and without MPI.
/// @return 0 none slower, 3 slower beyond the threshold, 4 not comparable @throws Error
[[nodiscard]] int carry_out_compare(const Command& command, const std::vector<Workload>& workloads);

} // namespace cleave::app
