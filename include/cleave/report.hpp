/// @file
/// A study told: its tables, figures, advice and the rules it keeps, and each as text, page,
/// picture or data. Everything here is derived from Results and StudyTable; nothing measures.
#pragma once

#include "cleave/results.hpp"
#include "cleave/study_table.hpp"
#include "cleave/timings.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace cleave {

/// A table of texts.
struct ReportTable {
  std::string name; ///< of letters and '-', unique in the report
  std::string title;
  std::string caption;
  std::vector<std::string> headings;
  std::vector<bool> numeric; ///< by column: aligned to the right
  std::vector<std::vector<std::string>> rows;
};

/// How the marks of a curve are drawn.
enum class Stroke : std::uint8_t {
  points, ///< markers with their intervals
  trend,  ///< the same, joined by lines: where between them is something
  dots,   ///< many small ones
  line,   ///< a law
  dashes, ///< a bound
  band,   ///< the area between y.lo and y.hi
  boxes,  ///< rectangles x by y, from marks' spans
};

/// A number in a figure.
struct Mark {
  double x = 0;
  double y = 0;
  std::optional<Interval> x_span{};      ///< of a box
  std::optional<Interval> y_span{};      ///< an interval, or of a box
  std::string tip{};                     ///< the number in words; empty: none
  std::string label{};                   ///< written inside a box
  std::optional<std::uint32_t> colour{}; ///< 0xRRGGBB in place of the curve's
};

/// Marks of one kind.
struct Curve {
  std::string label{}; ///< in the legend; empty: not there
  Stroke stroke = Stroke::points;
  int colour = 0;      ///< index into the palette
  bool hollow = false; ///< markers of points that prove nothing
  std::vector<Mark> marks{};
};

/// An axis.
struct FigureAxis {
  std::string label;
  Interval range{0, 1};
  bool logarithmic = false;
  std::vector<std::pair<double, std::string>> ticks{};
};

/// A figure as a value, before it is drawn by anybody.
struct Figure {
  std::string name; ///< of letters and '-', unique in the report
  std::string title;
  std::string caption;
  FigureAxis x;
  FigureAxis y;
  std::vector<Curve> curves;
};

/// What to do about a number.
struct Advice {
  std::string text;   ///< one or two sentences with the number
  std::string source; ///< name of the figure or table that it rests on
};

/// One of the twelve rules of Hoefler & Belli (SC'15, doi:10.1145/2807591.2807644).
struct ReportRule {
  int number = 0;
  std::string demand;             ///< in our words
  std::string how;                ///< how the report keeps it
  std::vector<std::string> unmet; ///< what in the data stands against it
};

/// Chunks of one repetition of a point.
struct PointTrace {
  std::size_t point = 0; ///< index into Results::points
  int repetition = 0;
  std::vector<TraceRow> rows;
};

/// Everything that a report tells.
struct Report {
  Results results;
  StudyTable table;
  std::string title{};
  std::string base{};               ///< the base case with its seconds
  std::string conditions{};         ///< n, interval, synchronisation, summary: ends every caption
  std::vector<std::string> notes{}; ///< drift, missing points, several hosts
  std::vector<Advice> advice{};
  std::vector<ReportTable> tables{};
  std::vector<Figure> figures{};
  std::vector<ReportRule> rules{};
};

/// Advice in words, each with its number, worst first. Pure.
[[nodiscard]] std::vector<Advice> advise(const Results& results, const StudyTable& table);

/// The twelve rules and what in the data stands against each. Pure.
[[nodiscard]] std::vector<ReportRule> rules_kept(const Results& results, const StudyTable& table);

/// The report of a study. Pure. @param trace of the point with the most workers, where there is one
[[nodiscard]] Report make_report(Results results, StudyTable table,
                                 const std::optional<PointTrace>& trace = {});

/// The chunks of the median repetition of a point: of NAME.trace.h5 beside the first of its files
/// NAME.h5 that has one. Local, not thread-safe. @throws Error bad_input when it is damaged
[[nodiscard]] std::optional<PointTrace> read_point_trace(const Results& results, std::size_t point);

/// Of the points with a trace that one with the most workers.
[[nodiscard]] std::optional<std::size_t> largest_traced(const Results& results);

/// For a terminal: at most 100 columns, UTF-8. Pure, as are the four below.
[[nodiscard]] std::string as_text(const Report& report);
/// GitHub's Markdown.
[[nodiscard]] std::string as_markdown(const Report& report);
/// One row a point, RFC 4180, times in seconds.
[[nodiscard]] std::string as_csv(const Report& report);
/// One object with everything; docs/reports.md has its keys.
[[nodiscard]] std::string as_json(const Report& report);
/// Chrome's trace event format, read by Perfetto: the chunks of a trace or, without one, the
/// phases of the point's median repetition.
[[nodiscard]] std::string perfetto_trace(const Results& results, std::size_t point,
                                         const std::optional<PointTrace>& trace);

/// What draws figures.
enum class Picture : std::uint8_t { svg, pdf, png };

/// gnuplot on this machine. https://gnuplot.info
class Gnuplot {
public:
  /// Looks for `gnuplot` on PATH.
  Gnuplot();
  [[nodiscard]] bool present() const noexcept { return !program_.empty(); }
  /// The figure as the bytes of a file. Starts a process and waits for it, 30 s at most. Local,
  /// thread-safe. @throws Error io when gnuplot is not there, fails or does not end
  [[nodiscard]] std::string draw(const Figure& figure, Picture picture) const;

private:
  std::filesystem::path program_;
};

/// One self-contained page. @param drawings SVG of every figure, in their order; empty: the page
/// says that there are none. Pure.
[[nodiscard]] std::string as_page(const Report& report, std::span<const std::string> drawings);

} // namespace cleave
