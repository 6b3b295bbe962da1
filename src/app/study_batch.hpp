/// @file
/// A study as batch jobs of Slurm.
#pragma once

#include "cleave/study.hpp"

#include <filesystem>
#include <map>
#include <string>

namespace cleave::app {

/// Writes one batch script a number of nodes that has open points, and submits them, each to begin
/// when the one before has ended. @param dry_run only shows them
/// @return the exit status @throws Error bad_input where sbatch is missing, io where it refuses
[[nodiscard]] int submit_study(const StudyPlan& plan, const StudyOptions& options, bool dry_run);

/// Batch jobs of this study that have not ended, by number of nodes, as far as squeue knows.
[[nodiscard]] std::map<int, std::string> queued_jobs(const std::filesystem::path& directory);

} // namespace cleave::app
