/// @file
/// One launch of a run that others may go on with: what it asks of the checkpoint, and says of
/// itself.
#pragma once

#include "cleave/checkpoint.hpp"
#include "cleave/layout.hpp"
#include "cleave/run.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace cleave {

/// What the plan asks of a checkpoint; not its facts, and whom it tells and asks. Local.
/// @param timings the run's timings file, beside which it lies by default
[[nodiscard]] CheckpointOptions checkpoint_options(const Plan& plan,
                                                   const std::filesystem::path& timings);

/// The repetition, warm-ups counted, that this launch begins with: the first that is not answered
/// yet, else the last, whose answer is put together again from what is kept. Collective.
[[nodiscard]] int first_repetition(const Comm& comm, const Plan& plan,
                                   const Checkpoint& checkpoint);

/// Whether a run that has come this far is going to take more than 10 minutes. Local.
[[nodiscard]] bool will_take_long(const Progress& progress) noexcept;

/// For whoever reads that the run was interrupted. Local.
[[nodiscard]] std::string how_to_resume(const Checkpoint& checkpoint);

/// Checksum of the answer in an earlier launch of the same binary, if one came to it. Root.
[[nodiscard]] std::optional<std::uint64_t> known_checksum(const Checkpoint& checkpoint);

/// What decides the bytes of the answer: what a checkpoint must have been made with. Local.
[[nodiscard]] Facts facts_of_answer(const Plan& plan, const Workload& workload,
                                    const Values& values, const std::string& simd,
                                    const std::string& inputs);

/// Where and how this launch runs, for people. Local.
[[nodiscard]] Facts about_attempt(const Layout& layout);

/// What a timings file says of the launches that its run took: `attempt`, its number; `attempts`,
/// those before it, as JSON; `lost_s`, seconds between the last that each of them kept and the
/// beginning of the next, waiting in a queue included. Root.
[[nodiscard]] Facts attempt_facts(const Checkpoint& checkpoint);
/// The same of a job that keeps no checkpoint and goes on all the same. The number of the attempt
/// is that of the Slurm job's where it is a later one, else 2: how many there were is not known,
/// and they are told as one. Root.
[[nodiscard]] Facts attempt_facts(const EarlierWork& earlier);

} // namespace cleave
