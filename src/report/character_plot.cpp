#include "parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace cleave::report {
namespace {

constexpr std::array<const char*, 6> markers = {"●", "■", "▲", "◆", "▼", "○"};

/// Text in cells, one character each, whatever its bytes.
class Canvas {
public:
  Canvas(int width, int height)
      : width_(width), height_(height),
        cells_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), " ") {}

  void put(double x, double y, const std::string& character, bool over) {
    const int column = static_cast<int>(std::lround(x * (width_ - 1)));
    const int row = static_cast<int>(std::lround((1 - y) * (height_ - 1)));
    if (column < 0 || column >= width_ || row < 0 || row >= height_)
      return;
    std::string& cell = cells_[index(row, column)];
    if (over || cell == " ")
      cell = character;
  }

  [[nodiscard]] std::string line(int row) const {
    std::string text;
    for (int column = 0; column < width_; ++column)
      text += cells_[index(row, column)];
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  }

private:
  [[nodiscard]] std::size_t index(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(width_) +
           static_cast<std::size_t>(column);
  }

  int width_;
  int height_;
  std::vector<std::string> cells_;
};

void draw(Canvas& canvas, const Figure& figure, const Curve& curve, int width) {
  const auto x_of = [&](double x) { return place_on(figure.x, x); };
  const auto y_of = [&](double y) { return place_on(figure.y, y); };
  if (curve.stroke == Stroke::dashes || curve.stroke == Stroke::line) {
    const std::string character = curve.stroke == Stroke::dashes ? "·" : "-";
    for (std::size_t i = 1; i < curve.marks.size(); ++i) {
      const Mark& from = curve.marks[i - 1];
      const Mark& to = curve.marks[i];
      for (int k = 0; k <= width; ++k) { // so dense that no column is left out
        const double share = static_cast<double>(k) / width;
        canvas.put(x_of(from.x) + share * (x_of(to.x) - x_of(from.x)),
                   y_of(from.y) + share * (y_of(to.y) - y_of(from.y)), character, false);
      }
    }
    return;
  }
  const auto marker = static_cast<std::size_t>(std::max(curve.colour, 0)) % markers.size();
  for (const Mark& mark : curve.marks)
    canvas.put(x_of(mark.x), y_of(mark.y), curve.hollow ? "○" : markers[marker], true);
}

std::string tick_line(const FigureAxis& axis, int width) {
  std::string line(static_cast<std::size_t>(width) + 8, ' ');
  std::size_t free = 0;
  for (const auto& [at, text] : axis.ticks) {
    const auto place =
        static_cast<std::size_t>(std::max<long>(0, std::lround(place_on(axis, at) * (width - 1))));
    if (place < free || place + text.size() > line.size())
      continue;
    line.replace(place, text.size(), text);
    free = place + text.size() + 1;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string tick_at(const FigureAxis& axis, int row, int height) {
  for (const auto& [at, text] : axis.ticks)
    if (std::lround((1 - place_on(axis, at)) * (height - 1)) == row)
      return text;
  return {};
}

} // namespace

std::string character_plot(const Figure& figure, int width, int height) {
  Canvas canvas(width, height);
  std::string legend;
  for (const Curve& curve : figure.curves) {
    if (curve.stroke == Stroke::band || curve.stroke == Stroke::boxes ||
        curve.stroke == Stroke::line)
      continue; // too much for characters
    draw(canvas, figure, curve, width);
    const auto marker = static_cast<std::size_t>(std::max(curve.colour, 0)) % markers.size();
    const char* shown = curve.stroke == Stroke::dashes ? "·" : markers[marker];
    if (!curve.label.empty())
      legend += fmt::format("  {} {}", curve.hollow ? "○" : shown, curve.label);
  }
  std::string text = fmt::format("{}{}{}\n", figure.title, legend.empty() ? "" : ":", legend);
  for (int row = 0; row < height; ++row)
    text += fmt::format("{:>8} │{}\n", tick_at(figure.y, row, height), canvas.line(row));
  std::string floor;
  for (int i = 0; i < width; ++i)
    floor += "─";
  text += fmt::format("{:>8} └{}\n{:>8}  {}\n{:>8}  {}\n", "", floor, "",
                      tick_line(figure.x, width), "", figure.x.label);
  return text;
}

} // namespace cleave::report
