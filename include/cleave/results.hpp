/// @file
/// Timings files back as points: what was measured where, every file of a study or of a directory
/// together. What compare, predict, report and the table of a study start from.
#pragma once

#include "cleave/scaling.hpp"
#include "cleave/timings.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cleave {

/// What must agree for two runs to be repetitions of one another.
struct PointKey {
  std::string workload;
  std::string config_hash; ///< of workload and parameters
  std::string schedule;    ///< as asked for
  int nodes = 1;
  int ranks = 1;
  int threads = 1; ///< the most in a rank

  auto operator<=>(const PointKey&) const = default;
};

/// One measured repetition, reduced to what figures are made of.
struct Sample {
  double wall_s = 0;
  double start_utc_s = 0;
  bool verified = false;                     ///< its answer was checked, and right
  std::array<double, phase_count> phase_s{}; ///< mean over ranks
  Balance balance{};                         ///< where the core time went
  double imbalance_percent = 0;              ///< of the ranks' busy times
  double thread_balance = 1;                 ///< mean/max busy time of a rank's threads, worst rank
  double barrier_skew_s = 0;
  double clock_error_s = 0;
  float load1 = 0;
};

/// What one rank did in the repetition that took the median time.
struct RankLoad {
  int rank = 0;
  int node = 0;
  std::string host;
  std::string cpus;                          ///< such as "0-3,8"
  std::vector<double> thread_busy_s;         ///< by thread
  std::array<double, phase_count> phase_s{}; ///< NaN where not measured
  [[nodiscard]] double busy_s() const;       ///< mean over its threads
};

/// Everything measured at one point, of one file or several.
struct Point {
  PointKey key;
  std::map<std::string, std::string> parameters; ///< of the workload, as recorded
  std::vector<std::filesystem::path> files;
  std::vector<Sample> samples; ///< completed repetitions by the time of their start
  int wrong = 0;               ///< repetitions with a wrong answer: no sample
  int interrupted = 0;         ///< repetitions cut short: no sample
  std::vector<RankLoad> loads; ///< of the median sample; empty without samples
  std::int64_t tasks = 0;
  double work = 0; ///< done in a repetition
  std::string work_unit;
  std::string schedule_used; ///< what `auto` chose, of the median sample
  std::string sync_method;
  std::string summary_method;
  bool oversubscribed = false; ///< more workers than cores
  int workers = 1;             ///< threads of all ranks

  /// Whether there are samples, all of them verified: only then it has a speed-up.
  [[nodiscard]] bool verified() const;
  /// Wall times of all samples, in their order.
  [[nodiscard]] std::vector<double> wall_s() const;
  /// Their median and its interval; NaN without samples.
  [[nodiscard]] Estimate time_s() const;
  /// Median and interval of what `figure` takes from a sample.
  template <class Figure>
  [[nodiscard]] Estimate of_samples(Figure figure) const {
    std::vector<double> values;
    for (const Sample& sample : samples)
      values.push_back(figure(sample));
    return summarise(values);
  }
  /// "4 ranks x 2 threads", with the nodes where there are several.
  [[nodiscard]] std::string layout_text() const;
};

/// What a study varies.
enum class StudyMode : std::uint8_t { strong, weak, layout, schedule };
inline constexpr std::array<const char*, 4> study_mode_names = {"strong", "weak", "layout",
                                                                "schedule"};

/// How a study measures each of its points.
struct Measure {
  int warm_ups = 1;         ///< repetitions of every launch that do not count
  int repetitions = 30;     ///< at most
  double half_width = 0.02; ///< of the median: stop when the interval is this narrow
  double budget_s = 600;    ///< of a point: no further launch when its repetitions took so long
  std::uint64_t seed = 1;   ///< of the shuffled order
};

/// What a study's directory says of itself, in DIR/study.json: written before its first point.
struct StudyRecord {
  std::string title; ///< the study file's name without .toml
  StudyMode mode = StudyMode::strong;
  Measure measure;
  std::vector<std::string> grown; ///< parameters that grow with the cores, of a weak study
  std::vector<PointKey> planned;  ///< every point; config_hash may be empty when it is not known
};

/// Timings files as points. A value.
struct Results {
  std::filesystem::path path;               ///< as given
  std::optional<StudyRecord> study;         ///< of a study's directory
  std::vector<Point> points;                ///< by key
  std::map<std::string, std::string> facts; ///< provenance in which all files agree
  /// Facts in which they differ, each with all that was found: of those that must agree.
  std::map<std::string, std::vector<std::string>> differing;
  std::vector<std::string> hosts; ///< sorted
  std::vector<std::filesystem::path> files;
};

/// Reads a timings file, all of a directory, or a study's directory (its `points`). Streams: what
/// is kept of a repetition is a Sample. Local, not thread-safe.
/// @throws Error bad_input for a file that read_timings() refuses, or a directory without any
[[nodiscard]] Results read_results(const std::filesystem::path& path);
/// Several of them together, as one; `study` of the only directory that has one.
[[nodiscard]] Results read_results(std::span<const std::filesystem::path> paths);

/// Why a study asks for no more repetitions of a point: "half width", "repetitions" or "budget"; ""
/// while it does. Pure.
[[nodiscard]] std::string stopped_by(const Point& point, const Measure& measure);

/// What must not differ within a study, and what breaks a comparison: cpu_model, topology,
/// build_type, simd_target; and, within a study alone, build_id. Local, thread-safe.
[[nodiscard]] std::span<const char* const> facts_that_must_agree() noexcept;

/// Reads DIR/study.json; nothing when there is none. @throws Error bad_input when it is damaged
[[nodiscard]] std::optional<StudyRecord> read_study_record(const std::filesystem::path& directory);
/// Writes it, atomically. @throws Error io
void write_study_record(const std::filesystem::path& directory, const StudyRecord& record);

} // namespace cleave
