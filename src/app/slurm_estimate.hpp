/// @file
/// How long a batch job will take and how much memory it needs, from what is known of it.
#pragma once

#include "cleave/launch_batch.hpp"
#include "cleave/results.hpp"
#include "cleave/run.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cleave::app {

/// A number for Slurm, and in words where it comes from.
struct Estimated {
  std::int64_t value = 0;
  std::string how;
};

/// Seconds that a run of `plan` will take, from runs of the same job in a timings file or a folder
/// of them. @throws Error bad_input when they have none
[[nodiscard]] Estimated estimated_time(const Plan& plan, const Workload& workload,
                                       const Results& measured, const BatchRequest& batch);

/// Whether the workload goes on from a log of what was done.
[[nodiscard]] bool keeps_job_log(const Workload& workload);

/// MiB that its node of the root needs, from what ranks and their programs held in runs of the same
/// job; where their files do not say, from what the job says of itself in a dry run, which is
/// started here and read.
/// @throws Error bad_input when there is no such run, or the job is refused
[[nodiscard]] Estimated estimated_memory(const Request& request, const Plan& plan,
                                         const Workload& workload, const Results& measured,
                                         const BatchRequest& batch);

/// Seconds of a time as sbatch takes it: MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS. Pure.
[[nodiscard]] std::optional<std::int64_t> batch_seconds(std::string_view text);

/// "HH:MM:SS". Pure.
[[nodiscard]] std::string batch_time(std::int64_t seconds);

} // namespace cleave::app
