/// @file
/// The timings file for a program of one's own: one call around the work.
#pragma once

#include "cleave/pool.hpp"
#include "cleave/timings.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace cleave {

/// What record() is to do and to write down. The functions are called on root.
struct RecordOptions {
  std::string name = "program"; ///< written as the workload
  int repetitions = 1;          ///< measured
  int warm_ups = 0;             ///< recorded apart
  bool force = false;           ///< replace an existing file
  double work_items = 0;        ///< work of one repetition, for rates; 0: its tasks
  std::string work_unit = "tasks";
  std::function<bool()>
      check{}; ///< whether the last repetition's answer is right; empty: not checked
  std::function<std::uint64_t()> checksum{}; ///< of the answer, such as cleave::checksum(bytes)
};

/// Runs work() again and again, all ranks starting together, and writes each repetition's phases,
/// threads and counters to a timings file (docs/timings-format.md) as soon as it is done.
/// Collective over the pool; `work` makes the same calls on every rank.
/// @return all repetitions at root; elsewhere what every rank knows
/// @throws Error bad_input before any work when the file cannot be written; wrong_answer on every
///         rank after a repetition whose check fails, which is recorded; whatever work() throws
Timings record(Pool& pool, const std::filesystem::path& file, const std::function<void()>& work,
               const RecordOptions& options = {});

} // namespace cleave
