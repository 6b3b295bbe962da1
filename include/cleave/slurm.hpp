/// @file
/// What Slurm says of the job that this process runs in. Makes no MPI call.
#pragma once

#include "cleave/layout.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cleave {

/// When this Slurm job will be ended, in seconds since 1970. squeue is asked, since a job's end may
/// be moved while it runs; where it fails or is not there, SLURM_JOB_END_TIME, which newer Slurms
/// set at the job's start. Nothing outside of a Slurm job, and where there is no limit. Local: one
/// rank is to ask, and rarely. Starts one process, which has ended afterwards; thread-safe unless
/// another thread changes the environment. Tens of milliseconds; never throws for what squeue says.
/// @param limit the longest to wait for squeue, which is killed then
[[nodiscard]] std::optional<std::int64_t>
slurm_job_end(std::chrono::milliseconds limit = std::chrono::seconds(5));

/// The attempt of this Slurm job, from 1: one that was requeued has several. 1 outside of one.
/// Local, thread-safe unless another thread changes the environment.
[[nodiscard]] int slurm_attempt();

/// What tells the files of this Slurm job from those of others: "j17", "j17_3" for task 3 of an
/// array, "j17-a2" for the second attempt of a job that was requeued; empty outside of one. Local,
/// thread-safe unless another thread changes the environment.
[[nodiscard]] std::string slurm_label();

/// What the environment says of the job around this process, a rank. Local, thread-safe unless
/// another thread changes the environment.
[[nodiscard]] SlurmFacts slurm_facts();

/// 7 for "2(x2),3": CPUs on all nodes, as in SLURM_JOB_CPUS_PER_NODE; 0 for any other text. Local,
/// thread-safe.
[[nodiscard]] int slurm_cpus(std::string_view text);

/// Seconds since 1970 of a time as Slurm prints it, "2026-11-29T12:00:00", read as UTC; nothing for
/// any other text, such as "N/A" and "UNLIMITED". Local, thread-safe.
[[nodiscard]] std::optional<std::int64_t> slurm_time(std::string_view text);

} // namespace cleave
