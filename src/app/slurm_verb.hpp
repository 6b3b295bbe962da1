/// @file
/// `cleave slurm`: a job as a batch job of Slurm.
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

/// What the user typed for `cleave slurm`, as texts.
struct SlurmRequest {
  using Text = std::optional<std::string>;
  std::vector<std::string> jobs;       ///< several: an array
  std::vector<std::string> parameters; ///< key=value
  Text nodes, ranks_per_node, threads, time, memory, partition, account, at_once, notice, launcher,
      results, output;
  std::vector<std::string> options; ///< of sbatch
  bool exclusive = false;
  bool requeue = false;
  bool submit = false;
  bool force = false;
};

/// Adds the verb and its options, which write into `request`. Local.
[[nodiscard]] CLI::App* add_slurm(CLI::App& app, SlurmRequest& request);

/// Does it, in this process alone and without MPI. @return the exit status @throws Error
[[nodiscard]] int carry_out_slurm(const Command& command, const std::vector<Workload>& workloads);

} // namespace cleave::app
