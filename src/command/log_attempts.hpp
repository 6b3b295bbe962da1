/// @file
/// Whose a job log is. Slurm may start a job again while ranks of its earlier attempt, cut off the
/// network, go on: no lock that they hold may stop the new attempt, and no line of theirs may get
/// into its log. So the log of a requeued job's attempt N is a file of its own, NAME.jJOB-aN. It is
/// made whole of what the attempt goes on from, and takes the name NAME when the attempt has come
/// to its end; what an earlier one then writes has no name any more. Root alone.
#pragma once

#include "job_log.hpp"

#include <cstdint>
#include <filesystem>

namespace cleave::command {

/// What a run that goes on has read of an earlier log.
struct KeptLog {
  std::filesystem::path file; ///< empty: it begins anew
  std::int64_t bytes = 0;     ///< of whole lines
};

/// The log under this name that says all that is known: of the latest attempt that has one, else
/// the name itself. Local.
[[nodiscard]] std::filesystem::path latest_log(const std::filesystem::path& name);

/// The log that this run writes: a new one; that which was kept; or, for a later attempt of a Slurm
/// job, a copy of it that is this attempt's own. Local.
/// @throws Error io when another run writes it, or has written it since it was read; bad_input when
///         it begins anew and is there by now
[[nodiscard]] JobLog take_log(const std::filesystem::path& name, const KeptLog& kept);

/// Gives the log of a run that has come to its end its own name, in place of those of earlier
/// attempts. Local.
/// @throws Error io, as when a later attempt has done so
void settle(JobLog& log, const std::filesystem::path& name);

} // namespace cleave::command
