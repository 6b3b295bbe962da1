// A figure as commands for gnuplot. Where everything lies is decided here, not by gnuplot, so that
// a page can lay its tool tips over it.
#include "parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace cleave::report {
namespace {

constexpr double letter = 6.6; ///< mean width at the font's size, in the units of the picture
constexpr double line_height = 19;
constexpr const char* ink = "#010203"; ///< what a page replaces by its own colours
constexpr const char* grid = "#e3e2e1";

/// Columns of text, not bytes.
double letters(std::string_view text) {
  return static_cast<double>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

double longest(const FigureAxis& axis) {
  double most = 0;
  for (const auto& [at, text] : axis.ticks)
    most = std::max(most, letters(text));
  return most * letter;
}

double slot_width(const Figure& figure, double width) {
  return width / std::max<double>(1, static_cast<double>(figure.x.ticks.size()));
}

bool rotated(const Figure& figure, double width) {
  return longest(figure.x) + 6 > slot_width(figure, width);
}

/// Where an entry of the legend begins, in units of the picture from the plot's upper left.
struct LegendEntry {
  const Curve* curve;
  double x = 0;
  int row = 0;
};

std::vector<LegendEntry> legend_of(const Figure& figure, double width) {
  std::vector<LegendEntry> entries;
  double x = 0;
  int row = 0;
  for (const Curve& curve : figure.curves) {
    if (curve.label.empty())
      continue;
    const double needed = 24 + letters(curve.label) * letter + 16;
    if (x > 0 && x + needed > width) {
      x = 0;
      ++row;
    }
    entries.push_back({&curve, x, row});
    x += needed;
  }
  return entries;
}

/// In single quotes nothing is substituted; lines end commands.
std::string literal(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20)
      literal += ' ';
    else if (c == '\'')
      literal += "''";
    else
      literal += c == '`' ? '"' : c;
  }
  return literal + "'";
}

std::string colour_of(int index) {
  if (index < 0)
    return "#808080";
  return fmt::format("#{:06x}", palette[index % palette_size]);
}

class Script {
public:
  Script(const Figure& figure, Picture picture) : figure_(figure), frame_(frame_of(figure)) {
    begin(picture);
    axes();
    legend();
    for (std::size_t i = 0; i < figure.curves.size(); ++i)
      curve(i);
    finish();
  }
  std::string text() { return std::move(text_); }

private:
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  void begin(Picture picture) {
    switch (picture) {
    case Picture::svg:
      say("set terminal svg size {},{} dynamic font 'sans-serif,12' noenhanced", picture_width,
          picture_height);
      break;
    case Picture::pdf:
      say("set terminal pdfcairo size 5in,{}in font 'sans-serif,9' noenhanced linewidth 1.2 "
          "pointscale 0.8 butt",
          5 * picture_height / picture_width);
      break;
    case Picture::png:
      say("set terminal pngcairo size {},{} font 'sans-serif,9' fontscale 3 noenhanced linewidth 3 "
          "pointscale 3 background '#ffffff' butt",
          3 * picture_width, 3 * picture_height);
      break;
    }
    say("set encoding utf8\nset key off\nset samples 2");
    say("set lmargin at screen {}\nset rmargin at screen {}", frame_.left, frame_.right);
    say("set bmargin at screen {}\nset tmargin at screen {}", frame_.bottom, frame_.top);
  }

  void axis(const char* name, const FigureAxis& axis, const char* rotation) {
    if (axis.logarithmic)
      say("set logscale {}", name);
    say("set {}range [{}:{}]", name, axis.range.lo, axis.range.hi);
    say("unset m{}tics", name);
    std::string list;
    for (const auto& [at, text] : axis.ticks)
      fmt::format_to(std::back_inserter(list), "{}{} {}", list.empty() ? "" : ", ", literal(text),
                     at);
    if (list.empty()) {
      say("unset {}tics", name);
      return;
    }
    say("set {}tics out nomirror scale 0.4 {} textcolor rgb '{}' ({})", name, rotation, ink, list);
  }

  void axes() {
    const double width = (frame_.right - frame_.left) * picture_width;
    say("set border 3 lw 1 lc rgb '{}'", ink);
    say("set grid ytics back lt 1 lw 0.6 lc rgb '{}'", grid);
    axis("x", figure_.x,
         rotated(figure_, width) ? "rotate by 40 right offset 0,0.3" : "norotate offset 0,0.4");
    axis("y", figure_.y, "norotate");
    say("set label {} at screen {},{} center textcolor rgb '{}'", literal(figure_.x.label),
        (frame_.left + frame_.right) / 2, 11 / picture_height, ink);
    say("set label {} at screen {},{} center rotate by 90 textcolor rgb '{}'",
        literal(figure_.y.label), 10 / picture_width, (frame_.bottom + frame_.top) / 2, ink);
  }

  [[nodiscard]] static std::string marker_of(const Curve& curve) {
    constexpr std::array filled = {7, 5, 9, 13, 11, 15};
    const auto index = static_cast<std::size_t>(std::max(curve.colour, 0)) % filled.size();
    return fmt::format("pt {}", filled[index] - (curve.hollow ? 1 : 0));
  }

  [[nodiscard]] static std::string dashes_of(const Curve& curve) {
    if (curve.stroke == Stroke::dashes)
      return "dt (6,5)";
    return curve.stroke == Stroke::line && curve.colour % 2 == 0 ? "dt (10,3,2,3)" : "dt 1";
  }

  void legend() {
    for (const LegendEntry& entry :
         legend_of(figure_, (frame_.right - frame_.left) * picture_width)) {
      const Curve& curve = *entry.curve;
      const double x = frame_.left + entry.x / picture_width;
      const double y = 1 - (12 + entry.row * line_height) / picture_height;
      const double width = 18 / picture_width;
      const std::string colour = colour_of(curve.colour);
      if (curve.stroke == Stroke::boxes || curve.stroke == Stroke::band)
        say("set object rectangle from screen {},{} to screen {},{} front fs solid noborder fc rgb "
            "'{}'",
            x + width / 4, y - 5 / picture_height, x + width, y + 5 / picture_height, colour);
      else if (curve.stroke == Stroke::line || curve.stroke == Stroke::dashes)
        say("set arrow from screen {},{} to screen {},{} nohead front lw 1.8 {} lc rgb '{}'", x, y,
            x + width, y, dashes_of(curve), colour);
      else
        say("set label '' at screen {},{} point {} ps 0.7 lc rgb '{}' front", x + width * 0.7, y,
            marker_of(curve), colour);
      say("set label {} at screen {},{} left textcolor rgb '{}'", literal(curve.label),
          x + 23 / picture_width, y, ink);
    }
  }

  [[nodiscard]] double inside(double y) const {
    return std::clamp(y, figure_.y.range.lo, figure_.y.range.hi);
  }

  void data(std::size_t index, const char* part) { say("${}{} << EOD", part, index); }

  void plotted(const std::string& element) {
    plot_ += (plot_.empty() ? "plot " : ", \\\n  ") + element;
  }

  void curve(std::size_t index) {
    const Curve& curve = figure_.curves[index];
    switch (curve.stroke) {
    case Stroke::boxes:
      boxes(index, curve);
      break;
    case Stroke::band:
      band(index, curve);
      break;
    case Stroke::line:
    case Stroke::dashes:
      points(index, curve);
      plotted(fmt::format("$p{} using 1:2 with lines lw 1.8 {} lc rgb '{}'", index,
                          dashes_of(curve), colour_of(curve.colour)));
      break;
    case Stroke::dots:
      points(index, curve);
      plotted(fmt::format("$p{} using 1:2 with points pt 7 ps 0.28 lc rgb '{}'", index,
                          colour_of(curve.colour)));
      break;
    case Stroke::points:
    case Stroke::trend:
      points(index, curve);
      intervals(index, curve);
      break;
    }
  }

  void points(std::size_t index, const Curve& curve) {
    data(index, "p");
    for (const Mark& mark : curve.marks)
      if (std::isfinite(mark.y))
        say("{} {}", mark.x, mark.y);
    say("EOD");
  }

  void intervals(std::size_t index, const Curve& curve) {
    const std::string colour = colour_of(curve.colour);
    if (curve.stroke == Stroke::trend)
      plotted(fmt::format("$p{} using 1:2 with lines lw 1 lc rgb '{}'", index, colour));
    if (std::ranges::any_of(curve.marks,
                            [](const Mark& mark) { return mark.y_span.has_value(); })) {
      data(index, "i");
      for (const Mark& mark : curve.marks)
        if (mark.y_span)
          say("{} {} {}", mark.x, inside(mark.y_span->lo), inside(mark.y_span->hi));
      say("EOD");
      plotted(fmt::format("$i{} using 1:2:(0):($3-$2) with vectors heads size screen 0.008,90 "
                          "lw 1.4 lc rgb '{}'",
                          index, colour));
    }
    plotted(fmt::format("$p{} using 1:2 with points {} ps 0.7 lc rgb '{}'", index, marker_of(curve),
                        colour));
  }

  void band(std::size_t index, const Curve& curve) {
    data(index, "b");
    for (const Mark& mark : curve.marks)
      say("{} {} {}", mark.x, inside(mark.y_span->lo), inside(mark.y_span->hi));
    say("EOD");
    plotted(fmt::format("$b{} using 1:2:3 with filledcurves fs transparent solid 0.16 noborder fc "
                        "rgb '{}'",
                        index, colour_of(curve.colour)));
  }

  void boxes(std::size_t index, const Curve& curve) {
    data(index, "b");
    for (const Mark& mark : curve.marks)
      say("{} {} {} {} {} {} {}", mark.x, mark.y, mark.x_span->lo, mark.x_span->hi, mark.y_span->lo,
          mark.y_span->hi, mark.colour.value_or(palette[curve.colour % palette_size]));
    say("EOD");
    plotted(fmt::format("$b{} using 1:2:3:4:5:6:7 with boxxyerror fs solid 1 noborder fc rgb "
                        "variable",
                        index));
    for (const Mark& mark : curve.marks)
      if (!mark.label.empty())
        say("set label {} at {},{} center front textcolor rgb '{}'", literal(mark.label), mark.x,
            mark.y, dark(mark.colour.value_or(0)) ? "#ffffff" : "#000000");
  }

  [[nodiscard]] static bool dark(std::uint32_t colour) {
    const auto part = [colour](unsigned shift) { return (colour >> shift) & 0xFFU; };
    return 299 * part(16) + 587 * part(8) + 114 * part(0) < 140'000; // luma of ITU-R BT.601
  }

  void finish() {
    if (plot_.empty()) // nothing to plot, so the frame alone
      plot_ = "plot NaN notitle";
    say("{}", plot_);
  }

  const Figure& figure_;
  Frame frame_;
  std::string text_;
  std::string plot_;
};

} // namespace

Frame frame_of(const Figure& figure) {
  Frame frame;
  const double left = longest(figure.y) + 14 + (figure.y.label.empty() ? 4 : 20);
  frame.left = std::clamp(left / picture_width, 0.08, 0.4);
  frame.right = 1 - 14 / picture_width;
  const double width = (frame.right - frame.left) * picture_width;
  const double below = rotated(figure, width) ? std::min(longest(figure.x) * 0.68 + 34, 130.0)
                                              : (figure.x.ticks.empty() ? 28.0 : 44.0);
  frame.bottom = below / picture_height;
  const auto legend = legend_of(figure, width);
  const int rows = legend.empty() ? 0 : legend.back().row + 1;
  frame.top = 1 - (10 + rows * line_height) / picture_height;
  return frame;
}

std::string gnuplot_script(const Figure& figure, Picture picture) {
  return Script(figure, picture).text();
}

} // namespace cleave::report
