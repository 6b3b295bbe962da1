/// @file
/// The job log: a line a finished task, in the columns of GNU parallel's --joblog and further ones,
/// the last of which is the XXH3-64 of the line before it. Each line is written at once, so that a
/// kill loses nothing but the tasks that ran.
#pragma once

#include "../handle.hpp"
#include "cleave/error.hpp"
#include "spawn.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cleave::command {

/// One line of the log.
struct JobRecord {
  std::int64_t task = 0;
  std::string host;
  double start_utc_s = 0; ///< since 1970
  double runtime_s = 0;
  std::int64_t received = 0;   ///< bytes of output that came to root
  std::int64_t exit_value = 0; ///< -1: its time was over
  std::int64_t signal = 0;
  std::string command;
  std::int32_t rank = 0;
  std::int64_t max_memory_kib = 0;

  [[nodiscard]] bool succeeded() const noexcept { return exit_value == 0 && signal == 0; }
};

/// The line of a record, with its end. Local, thread-safe.
[[nodiscard]] std::string to_line(const JobRecord& record, bool summed = true);
/// What to_line() wrote, without the end; nothing for any other text. Local, thread-safe.
/// @param summed false: without the column of the sum, as logs were written first
[[nodiscard]] std::optional<JobRecord> parse_record(std::string_view line, bool summed = true);

/// Calls `take` for every line of the log; a last line without its end, which a kill has torn, is
/// left out. No file is an empty log. Local.
/// @return bytes of whole lines
/// @throws Error bad_input that names file and line for what is no job log
std::int64_t read_job_log(const std::filesystem::path& file,
                          const std::function<void(const JobRecord&)>& take);

/// Makes an empty log, for a run that begins: of several that begin at once, one succeeds. Local.
/// @throws Error bad_input when there is a file of this name by now, io when it cannot be made
void claim_job_log(const std::filesystem::path& file);

/// A log that grows. Not thread-safe.
class JobLog {
public:
  /// @param keep go on with the lines that are there, but for a torn last one; else start anew
  /// @param read bytes of whole lines that must be there: what the caller knows of
  /// @throws Error io, as when another run writes the log
  JobLog(std::filesystem::path file, bool keep, std::optional<std::int64_t> read = std::nullopt);
  /// Writes the record at once. @throws Error io
  void append(const JobRecord& record);
  /// Removes all lines. @throws Error io
  void begin_anew();

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return name_; }
  /// The file has got another name.
  void has_name(std::filesystem::path name) { name_ = std::move(name); }
  /// Why the file system keeps no lock on it, and so could not refuse another run; empty: it does.
  [[nodiscard]] const std::string& no_lock() const noexcept { return no_lock_; }

private:
  void lock();
  void require_unchanged(off_t whole, std::int64_t read) const;
  void write(std::string_view text);
  [[nodiscard]] Error failure(const std::string& what) const;

  std::filesystem::path name_;
  Descriptor file_;
  std::string no_lock_;
  bool summed_ = true;
};

} // namespace cleave::command
