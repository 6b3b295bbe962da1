/// @file
/// The figures of a study: every point against its base, the laws through them, and study.h5.
#pragma once

#include "cleave/results.hpp"
#include "cleave/scaling.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cleave {

/// One point of a series.
struct StudyRow {
  std::size_t point = 0;          ///< index into Results::points
  std::optional<Scaling> scaling; ///< none for an unverified point, or where the base is missing
  bool superlinear = false;       ///< efficiency over 1 by more than its interval
  std::string stopped_by;         ///< "half width", "repetitions", "budget", or "" while it is open
};

/// Points that differ in layout alone, or in what the study varies: they share a base.
struct Series {
  std::string label;               ///< what they have in common and others have not; may be empty
  std::optional<std::size_t> base; ///< index into rows; none when no point can be one
  std::vector<StudyRow> rows;      ///< by workers, then ranks
  std::vector<LawFit> laws;        ///< that had points enough: Amdahl and USL, or Gustafson
};

/// A study in figures. A value derived from Results, at any time.
struct StudyTable {
  StudyMode mode = StudyMode::strong;
  std::vector<Series> series;
  double drift_p = 1;       ///< Mann-Kendall test of all samples against their medians, by time
  double drift_percent = 0; ///< last third of the study against the first, in the median
  std::vector<PointKey> missing; ///< planned and not measured
};

/// The figures. The mode is the study's own; without one: strong where numbers of workers differ,
/// layout where ranks x threads do, schedule otherwise. Pure.
/// @throws Error not_comparable when the files are of several machines or programs, by name;
///         bad_input when there is no point at all, or several workloads
[[nodiscard]] StudyTable tabulate(const Results& results);

/// Writes study.h5, one row a point and the fits in groups, in place of what is there, atomically.
/// docs/timings-format.md has the format. @throws Error io
void write_study(const std::filesystem::path& file, const Results& results,
                 const StudyTable& table);

/// Writes study.h5 anew into the directory of a study; nothing for other results, and where that
/// directory cannot be written: the table can be derived again elsewhere. @throws Error io
void renew_study(const Results& results, const StudyTable& table);

} // namespace cleave
