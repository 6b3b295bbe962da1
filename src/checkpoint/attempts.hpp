/// @file
/// The folder of a checkpoint: which attempts have used it, and what they have kept. Each attempt
/// writes files of its own alone, so that one that was thought dead can do no harm.
#pragma once

#include "cleave/checkpoint.hpp"
#include "journal.hpp"

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cleave {

/// DIR/attempt-0001.log, written by root. Its creation is the claim. Local, thread-safe.
[[nodiscard]] std::filesystem::path log_of(const std::filesystem::path& folder, int attempt);
/// DIR/attempt-0001.rank-00000.journal, written by that rank. Local, thread-safe.
[[nodiscard]] std::filesystem::path journal_of(const std::filesystem::path& folder, int attempt,
                                               int rank);
/// DIR/attempt-0001.stop: the nodes of the attempt are to stop. Local, thread-safe.
[[nodiscard]] std::filesystem::path stop_of(const std::filesystem::path& folder, int attempt);

/// A piece of a call's results, or a state, and where it is.
struct KeptRecord {
  std::shared_ptr<const std::filesystem::path> file; // one for all of its records
  RecordPlace place;
};

/// All that earlier attempts have kept.
struct KeptByOthers {
  std::vector<Attempt> attempts; ///< in order
  int ended = 0;                 ///< all up to this number is of no use: that run has ended
  int last_number = 0; ///< of them all, and of those that were killed before they said a word
  std::uint64_t log_bytes = 0;       ///< read of all logs
  std::map<int, std::uint64_t> done; ///< repetition -> checksum of its answer
  std::map<CallKey, std::vector<KeptRecord>> parts;
  std::optional<KeptRecord> state; ///< the latest, of the latest repetition that has one
};

/// What the launch that made this log has marked it with; nothing where there is none. Local.
[[nodiscard]] std::optional<std::uint64_t> mark_of_log(const std::filesystem::path& log);

/// DIR/attempt-0003.log/, a folder: the run of attempt 2 has ended, and removes what is there up to
/// this number, itself last. Who begins meanwhile begins anew, under a later number. Local. @return
/// false where a later attempt has begun
[[nodiscard]] bool mark_as_ended(const std::filesystem::path& folder, int attempt);

/// Reads the folder; a folder that is not there holds nothing, nor does what a run that has ended
/// has not removed yet. Local; reads every byte once.
/// @throws Error io where a file cannot be read
[[nodiscard]] KeptByOthers read_attempts(const std::filesystem::path& folder);

/// The same, for a launch that may go on with it or must begin anew. Local.
/// @throws Error bad_input for what is no folder, for a checkpoint where none was to be resumed or
///         replaced, and for that of another job or binary, whose difference it names; io as above
[[nodiscard]] KeptByOthers accepted_attempts(const CheckpointOptions& options);

/// @throws Error bad_input where the folder is another user's in one where anybody may make files.
/// Local.
void refuse_strangers(const std::filesystem::path& folder);

/// What is read now of the logs of attempts before this one: they grow while one is at work, and
/// are gone when one has ended. By reading, as network file systems keep old sizes for a while.
/// Local. @throws FileFailure
[[nodiscard]] std::uint64_t bytes_of_logs(const std::filesystem::path& folder, int attempt);

/// Removes the files of all attempts up to `last`, and the folder when it is empty then. Local;
/// never fails.
void remove_attempts(const std::filesystem::path& folder,
                     int last = std::numeric_limits<int>::max()) noexcept;

} // namespace cleave
