/// @file
/// What a run writes: names of its files, what it records of itself, the progress file.
#pragma once

#include "cleave/layout.hpp"
#include "cleave/run.hpp"
#include "cleave/store.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cleave {

/// "20260131T235959Z" for seconds since 1970. Local, thread-safe.
[[nodiscard]] std::string utc_text(std::int64_t seconds);

/// WORKLOAD-UTC-NxRxT, with N nodes, the most ranks R of a node, the most threads T of a rank, and
/// in a Slurm job -LABEL, slurm_label(): what a timings file is called that nobody has named.
/// Local.
[[nodiscard]] std::string default_stem(const std::string& workload, const Layout& layout,
                                       std::int64_t seconds);

/// The timings file that the plan names, else one of the default name. Local.
[[nodiscard]] std::filesystem::path timings_of(const Plan& plan, const Layout& layout);

/// The file of a later attempt at the same run, NAME.attempt2.h5 for NAME.h5, which stays as it is:
/// its layout is another, and its process may live on. Local, thread-safe.
[[nodiscard]] std::filesystem::path name_of_attempt(const std::filesystem::path& timings,
                                                    int attempt);

/// The file beside `timings` with another suffix: NAME.h5 -> NAME + suffix. Local, thread-safe.
[[nodiscard]] std::filesystem::path beside(const std::filesystem::path& timings,
                                           const std::string& suffix);

/// The files that a run writes: named, and refused before any work.
class OutputFiles {
public:
  /// Nothing yet: what ranks other than root hold.
  OutputFiles() = default;
  /// Names all of them and looks whether they can be written. Root alone.
  /// @param timings by timings_of() @param attempt after the first, what the attempts before it
  ///        have written may be there
  /// @throws Error bad_input when one exists (without force), cannot be written, is named twice, or
  ///         is an input or the job file, under whatever name
  OutputFiles(const Plan& plan, const Workload& workload, const Values& values,
              std::filesystem::path timings, int attempt);

  [[nodiscard]] const std::filesystem::path& timings() const noexcept { return timings_; }
  /// Whether the timings file was not named by the user: results/STEM.h5, with a number added where
  /// such a file exists.
  [[nodiscard]] bool has_default_name() const noexcept { return !stem_.empty(); }
  /// Takes the next free default name, after another run has created a file of this one.
  /// @return false when there is none to take: the user gave the name, or no such file exists
  [[nodiscard]] bool take_next_name();
  /// All of them, the timings file first.
  [[nodiscard]] std::vector<std::filesystem::path> all() const;

private:
  struct Output {
    std::filesystem::path file;
    std::string key; // the option or parameter that named it
  };
  void refuse_naming_twice(const Output& output) const;

  std::filesystem::path timings_;
  std::string stem_;            // of a default name
  std::vector<Output> outputs_; // all but a timings file with a default name
};

/// The run's timings file, made; takes the next default name as long as another run, begun in the
/// same second, takes each before it. Root.
/// @throws Error bad_input whatever is wrong with its place: no work has begun, the user can mend
/// it
[[nodiscard]] Store create_store(OutputFiles& files, const RunInfo& info,
                                 const StoreOptions& options);

/// The record of a run before its first repetition: the launch's facts, this job's, and where they
/// come from. @param simd the instruction set of the kernels
/// @param inputs by input_checksums()
[[nodiscard]] RunInfo run_info(RunInfo launch, const Plan& plan, const Values& values,
                               const Job& job, const std::string& simd, const std::string& inputs);

constexpr const char* unreadable = "unreadable"; // instead of a checksum

/// "NAME=CHECKSUM ..." of the input files, and "files=CHECKSUM" of those that Workload::inputs
/// names where parameters name several. Reads them. Local.
[[nodiscard]] std::string input_checksums(const Workload& workload, const Values& values);

/// XXH3-64 of a file's bytes, 16 hex digits; "unreadable" when it cannot be read. Local.
[[nodiscard]] std::string file_checksum(const std::filesystem::path& file);

/// NAME.progress: one JSON line, replaced atomically while a run lasts (the timings file itself is
/// locked then), gone afterwards. It never fails: a run is not stopped by its onlookers.
class ProgressFile {
public:
  ProgressFile(std::filesystem::path file, std::string workload);
  ProgressFile(const ProgressFile&) = delete;
  ProgressFile& operator=(const ProgressFile&) = delete;
  ~ProgressFile();

  /// Replaces the line, at most once a second.
  void write(const Progress& progress) noexcept;

private:
  std::filesystem::path file_;
  std::string workload_;
  std::int64_t written_ns_ = 0; // by monotonic_ns(); 0: not yet
};

} // namespace cleave
