// gnuplot's SVG as a part of a page: unique ids, colours by the page's style, places for tool tips.
#include "parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace cleave::report {
namespace {

constexpr std::size_t most_tips = 600; ///< of a figure; beyond, the tables have the numbers
constexpr std::size_t most_focused = 64;
constexpr double reach = 9; ///< of a finger, in the picture's units

void replace_all(std::string& text, std::string_view before, std::string_view after) {
  for (std::size_t at = 0; (at = text.find(before, at)) != std::string::npos; at += after.size())
    text.replace(at, before.size(), after);
}

/// Removes every stretch from `begin` through `end`.
void cut_all(std::string& text, std::string_view begin, std::string_view end) {
  for (std::size_t at = 0; (at = text.find(begin, at)) != std::string::npos;) {
    const std::size_t last = text.find(end, at);
    if (last == std::string::npos)
      return;
    text.erase(at, last + end.size() - at);
  }
}

/// Where marks lie in the picture.
class Places {
public:
  explicit Places(const Figure& figure) : figure_(figure), frame_(frame_of(figure)) {}

  [[nodiscard]] double x(double value) const {
    const double place = std::clamp(place_on(figure_.x, value), 0.0, 1.0);
    return picture_width * (frame_.left + place * (frame_.right - frame_.left));
  }
  [[nodiscard]] double y(double value) const {
    const double place = std::clamp(place_on(figure_.y, value), 0.0, 1.0);
    return picture_height * (1 - frame_.bottom - place * (frame_.top - frame_.bottom));
  }

private:
  const Figure& figure_;
  Frame frame_;
};

std::string hit(const Figure& figure, const Curve& curve, const Mark& mark, bool focused) {
  const Places places(figure);
  const std::string common = fmt::format("class=\"hit\" role=\"img\"{} aria-label=\"{}\"",
                                         focused ? " tabindex=\"0\"" : "", escaped(mark.tip));
  if (curve.stroke != Stroke::boxes)
    return fmt::format("<circle {} cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>\n", common,
                       places.x(mark.x), places.y(mark.y), reach);
  const double left = places.x(mark.x_span->lo);
  const double top = places.y(mark.y_span->hi);
  return fmt::format("<rect {} x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
                     common, left, top, places.x(mark.x_span->hi) - left,
                     places.y(mark.y_span->lo) - top);
}

std::string hits(const Figure& figure) {
  std::size_t tips = 0;
  for (const Curve& curve : figure.curves)
    tips += static_cast<std::size_t>(
        std::ranges::count_if(curve.marks, [](const Mark& mark) { return !mark.tip.empty(); }));
  std::string text = "<g class=\"hits\">\n";
  std::size_t made = 0;
  for (const Curve& curve : figure.curves)
    for (const Mark& mark : curve.marks)
      if (!mark.tip.empty() && std::isfinite(mark.y) && made++ < most_tips)
        text += hit(figure, curve, mark, tips <= most_focused);
  return text + "</g>\n";
}

} // namespace

std::string inline_svg(const Figure& figure, std::string_view svg) {
  const std::size_t begin = std::min(svg.find("<g id=\"gnuplot_canvas\""), svg.size());
  const std::size_t end = svg.rfind("</svg>");
  std::string body(svg.substr(begin, end == std::string_view::npos ? 0 : end - begin));
  cut_all(body, "<title>", "</title>");
  cut_all(body, "<filter", "</filter>");
  for (const char* fixed : {" color=\"black\"", " color=\"white\""}) // the page's own is wanted
    replace_all(body, fixed, "");
  for (const char* mark : {"id='", "id=\"", "href='#", "url(#"})
    replace_all(body, mark, std::string(mark) + figure.name + "-");
  for (const char* ink : {"rgb(  1,   2,   3)", "rgb(1,2,3)"})
    replace_all(body, ink, "currentColor");
  for (const char* grid : {"rgb(227, 226, 225)", "rgb(227,226,225)"})
    replace_all(body, grid, "var(--grid)");
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"group\" aria-labelledby=\"{}-title\" "
                     "xmlns:xlink=\"http://www.w3.org/1999/xlink\">\n{}{}</svg>",
                     picture_width, picture_height, figure.name, body, hits(figure));
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
    case '&':
      safe += "&amp;";
      break;
    case '<':
      safe += "&lt;";
      break;
    case '>':
      safe += "&gt;";
      break;
    case '"':
      safe += "&quot;";
      break;
    case '\'':
      safe += "&#39;";
      break;
    default:
      safe += c;
    }
  }
  return safe;
}

} // namespace cleave::report
