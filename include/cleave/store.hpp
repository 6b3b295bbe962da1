/// @file
/// Timings to HDF5 and back: the format "cleave-timings" 1.2 (docs/timings-format.md).
#pragma once

#include "cleave/timings.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <span>

namespace cleave {

/// How a timings file is created.
struct StoreOptions {
  int repetitions = 1; ///< rows of /run
  int warm_ups = 0;    ///< rows of /warm_up
  bool force = false;  ///< replace an existing file, at the first committed repetition
};

/// Writer of one timings file, crash-proof: killed at any instant, the file opens and every
/// committed repetition is whole. Made and used by root alone (serial HDF5), after Session and by
/// one thread at a time; other programs cannot open the file while it lives.
class Store {
public:
  /// Creates the file complete with all groups, provenance and datasets, every row empty, and on
  /// the disk. Takes about 2 ms and two fsyncs. With force the file has a temporary name until the
  /// first committed repetition, and what is there stays if there is none.
  /// @throws Error bad_input when the file exists (without force), its directory does not exist or
  ///         cannot be written, or `info` is not whole (a vector by rank of another length); io for
  ///         anything else, a full disk for one. Nothing is left behind.
  Store(const std::filesystem::path& file, const RunInfo& info, const StoreOptions& options);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  /// Writes one repetition's row and marks it: raw data, flush, state, flush.
  /// Takes 0.02 ms and no fsync; a schedule other than the row before it had, 2 ms and two fsyncs.
  /// @param row index in /run, not committed yet
  /// @throws Error bad_input for a row or a repetition that does not fit the run; io (disk full
  ///         ...), after which rows committed before are whole and `row` is empty
  void commit(int row, const Repetition& repetition);
  /// The same in /warm_up.
  void commit_warm_up(int row, const Repetition& repetition);
  /// The file's final name.
  [[nodiscard]] const std::filesystem::path& file() const noexcept;

private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Checks that a file of this name can be created, without creating it: the directory exists and
/// can be written, the name is free (or `force`). Local.
/// @throws Error bad_input that says what is wrong and the mend
void check_output(const std::filesystem::path& file, bool force);

/// Reads a timings file whole; repetitions that were never committed are left out. Bytes that make
/// HDF5 crash do no harm: a child process reads the file first (fork, and the time of reading
/// twice). Local, not thread-safe.
/// @throws Error bad_input when the file is missing, not a timings file, of a newer version, being
///         written or damaged; place.file names it
[[nodiscard]] Timings read_timings(const std::filesystem::path& file);

/// The same of many files, one after the other, with a fork for every 64, which are tried while
/// those before them are read.
/// @param told of each file in turn
void read_timings(std::span<const std::filesystem::path> files,
                  const std::function<void(const std::filesystem::path&, const Timings&)>& told);

/// Writes the trace file NAME.trace.h5: one row per chunk in contiguous columns, under a temporary
/// name that is renamed at the end. Local, not thread-safe. @throws Error io
void write_trace(const std::filesystem::path& file, std::span<const TraceRow> rows);

/// Reads a trace file whole, 48 bytes a chunk; bytes that make HDF5 crash do no harm, as with
/// read_timings(). Local, not thread-safe.
/// @throws Error bad_input when the file is missing, not a trace, of a newer version or damaged;
///         place.file names it
[[nodiscard]] std::vector<TraceRow> read_trace(const std::filesystem::path& file);

} // namespace cleave
