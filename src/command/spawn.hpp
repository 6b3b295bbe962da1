/// @file
/// One command as an order to start it and a report of how it ended: the values, and their way
/// through a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave::command {

/// A command to be run. Times in seconds.
struct SpawnOrder {
  std::int64_t task = 0;                ///< number, for the environment and the report
  std::vector<std::string> words;       ///< the program first
  std::string output_file;              ///< of standard output; empty: it is reported
  std::string error_file;               ///< of standard error; empty: it is reported
  double timeout_s = 0;                 ///< 0: no limit
  double kill_after_s = 5;              ///< between SIGTERM and SIGKILL
  std::int64_t retries = 0;             ///< after a failure
  std::int64_t most_output = 1'048'576; ///< bytes of each stream that are reported
};

/// How it ended; of its last attempt.
struct SpawnReport {
  std::int64_t task = 0;
  std::int64_t exit_value = 0; ///< -1 when its time was over, 127 when there is no such program,
                               ///< 126 when it cannot be started, or its files cannot be opened
  std::int64_t signal = 0;     ///< that ended it; 0: none
  std::int64_t attempts = 1;
  double start_utc_s = 0; ///< since 1970
  double runtime_s = 0;
  std::int64_t max_memory_kib = 0; ///< of its largest process, as wait4(2) tells
  std::string output;              ///< standard output
  std::string error;               ///< standard error
  std::int64_t output_bytes = 0;   ///< of both streams, those that were cut off too
  /// It was ended by a signal that the spawn server got as well: by who ends, or is about to end,
  /// all processes around it. It is as if it had not begun.
  bool withdrawn = false;

  [[nodiscard]] bool succeeded() const noexcept { return exit_value == 0 && signal == 0; }
};

[[nodiscard]] std::vector<std::byte> pack(const SpawnOrder& order);
[[nodiscard]] std::vector<std::byte> pack(const SpawnReport& report);
/// @throws Error lost_peer for bytes that are none
[[nodiscard]] SpawnOrder unpack_order(std::span<const std::byte> bytes);
[[nodiscard]] SpawnReport unpack_report(std::span<const std::byte> bytes);

/// Writes a length and the bytes. @return whether the other end took them
[[nodiscard]] bool write_message(int socket, std::span<const std::byte> bytes) noexcept;
/// What write_message() wrote; nothing when the other end has gone.
[[nodiscard]] std::optional<std::vector<std::byte>> read_message(int socket);

} // namespace cleave::command
