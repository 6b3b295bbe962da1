/// @file
/// The environment of a command: that of the user, not that of the launcher's rank.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::command {

/// "NAME=value", one a variable.
using Environment = std::vector<std::string>;

/// The variables of `own`, this process's, without those that the launcher gave it as a rank
/// (OMPI_*, PMIX_*, PMI_*, PRTE_*), which would tell an MPI program that it is a rank of this job.
/// Those that `launchers` has too with the same value are the user's, and stay, as all do where
/// this process is no rank. Pure; local; thread-safe.
/// @param launchers the environment of the launcher; nothing: unknown, and all of them go but
///        OMPI_ALLOW_RUN_AS_ROOT and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM, which no launcher sets
[[nodiscard]] Environment task_environment(const Environment& own,
                                           const std::optional<Environment>& launchers);

/// Whether the variables are those of a rank that a launcher has started. Local, thread-safe.
[[nodiscard]] bool is_of_rank(const Environment& environment);

/// This process's variables. Local.
[[nodiscard]] Environment own_environment();

/// The variables that the launcher of this process began with: those of the nearest process above
/// that is no rank. Nothing where the system does not tell, as of another user's. Local.
[[nodiscard]] std::optional<Environment> launcher_environment();

} // namespace cleave::command
