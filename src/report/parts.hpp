/// @file
/// The parts that make a report, and what draws it.
#pragma once

#include "cleave/report.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace cleave::report {

[[nodiscard]] std::vector<ReportTable> make_tables(const Report& report);

/// An axis around `data` with ticks at round numbers. @param logarithmic if data spans a factor of
/// 3
[[nodiscard]] FigureAxis number_axis(std::string label, Interval data, bool logarithmic);
/// An axis with `names` at 0, 1, 2 ...
[[nodiscard]] FigureAxis name_axis(std::string label, const std::vector<std::string>& names);
/// An axis of numbers of workers, with ticks at those of `workers`.
[[nodiscard]] FigureAxis worker_axis(const std::vector<double>& workers);

/// Rows of a table that a figure has room for, with their names.
struct ShownRow {
  const Series* series;
  std::size_t row;
  std::string name;
};
/// All measured rows, or `most` of them spread evenly; then `left_out` says so.
[[nodiscard]] std::vector<ShownRow> shown_rows(const Report& report, std::size_t most,
                                               std::string& left_out);
/// "4 ranks x 1 thread: 3.21 s [3.20, 3.24], 30 samples".
[[nodiscard]] std::string tip_of(const Report& report, const StudyRow& row);

/// Time, speed-up, efficiency, Karp-Flatt: against the number of workers.
void add_scaling_figures(const Report& report, std::vector<Figure>& figures);
/// Layouts and schedules against one another.
void add_choice_figures(const Report& report, std::vector<Figure>& figures);
/// Chunks of a traced repetition by worker.
void add_time_line(const Report& report, const PointTrace& trace, std::vector<Figure>& figures);
/// Factors, phases, loads, repetitions, time line.
void add_balance_figures(const Report& report, const std::optional<PointTrace>& trace,
                         std::vector<Figure>& figures);

/// The palette of Okabe and Ito without black and yellow, which one of light and dark hides.
/// https://jfly.uni-koeln.de/color/
inline constexpr std::uint32_t palette[] = {0x0072B2, 0xD55E00, 0x009E73,
                                            0xCC79A7, 0xE69F00, 0x56B4E9};
inline constexpr int palette_size = 6;

/// Where a figure lies in its picture, of width 1 and height 1 from the lower left.
struct Frame {
  double left = 0;
  double right = 1;
  double bottom = 0;
  double top = 1;
};
inline constexpr double picture_width = 480; ///< of an SVG, in its units
inline constexpr double picture_height = 340;
[[nodiscard]] Frame frame_of(const Figure& figure);
/// A number's place between the ends of an axis, 0 to 1.
[[nodiscard]] double place_on(const FigureAxis& axis, double value) noexcept;

/// The commands that draw a figure, for gnuplot's standard input.
[[nodiscard]] std::string gnuplot_script(const Figure& figure, Picture picture);

/// gnuplot's SVG as a part of a page: ids made unique, ink by CSS, places that show tool tips.
[[nodiscard]] std::string inline_svg(const Figure& figure, std::string_view svg);

/// `text` for HTML, in quotes too.
[[nodiscard]] std::string escaped(std::string_view text);

/// A figure in characters. @param width, height of the plot's inside
[[nodiscard]] std::string character_plot(const Figure& figure, int width, int height);

} // namespace cleave::report
