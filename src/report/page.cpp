// One self-contained page: no network, one small script, every number in a table too.
#include "cleave/version.hpp"
#include "page_parts.hpp"
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace cleave {
namespace {

using namespace report;

std::string paragraph(const std::string& text, const char* kind = "") {
  return fmt::format("<p{}>{}</p>\n", kind, escaped(text));
}

/// The element that advice refers to: a figure if there is one of that name, else a table.
std::string link_to(const Report& report, const std::string& source, bool figures) {
  const bool drawn = figures && std::ranges::any_of(report.figures, [&](const Figure& figure) {
                       return figure.name == source;
                     });
  if (drawn)
    return "#" + source;
  const bool table = std::ranges::any_of(
      report.tables, [&](const ReportTable& one) { return one.name == source; });
  return table ? "#table-" + source : "#table-points";
}

std::string advice_html(const Report& report, bool figures) {
  if (report.advice.empty())
    return "";
  std::string text = "<h2>What to do</h2>\n<ul class=\"advice\">\n";
  for (const Advice& advice : report.advice)
    text += fmt::format("<li>{} <a href=\"{}\">{}</a></li>\n", escaped(advice.text),
                        link_to(report, advice.source, figures), advice.source);
  return text + "</ul>\n";
}

std::string figure_html(const Figure& figure, const std::string& drawing) {
  return fmt::format("<figure id=\"{0}\">\n<h3 id=\"{0}-title\">{1}</h3>\n{2}\n"
                     "<figcaption>{3}</figcaption>\n</figure>\n",
                     figure.name, escaped(figure.title), inline_svg(figure, drawing),
                     escaped(figure.caption));
}

std::string figures_html(const Report& report, std::span<const std::string> drawings) {
  std::string text = "<h2>Figures</h2>\n";
  if (drawings.size() == report.figures.size()) {
    text += "<div class=\"figures\">\n";
    for (std::size_t i = 0; i < drawings.size(); ++i)
      text += figure_html(report.figures[i], drawings[i]);
    return text + "</div>\n";
  }
  text += paragraph("gnuplot was not found when this page was made (apt install gnuplot-nox), so "
                    "there are no pictures; all numbers are in the tables.");
  for (const Figure& figure : report.figures)
    if (figure.name == "speed-up" || figure.name == "efficiency")
      text += "<pre>" + escaped(character_plot(figure, 56, 12)) + "</pre>\n";
  return text;
}

std::string table_html(const ReportTable& table) {
  const bool wide_texts = table.name == "environment" || table.name == "laws";
  std::string text = fmt::format("<h2 id=\"table-{0}\">{1}</h2>\n<p class=\"soft\">{2}</p>\n"
                                 "<div class=\"scroll{3}\" tabindex=\"0\" role=\"region\" "
                                 "aria-label=\"{1}\">\n<table>\n<thead><tr>",
                                 table.name, escaped(table.title), escaped(table.caption),
                                 wide_texts ? " wrap" : "");
  for (std::size_t i = 0; i < table.headings.size(); ++i)
    text += fmt::format("<th scope=\"col\"{}>{}</th>", table.numeric[i] ? " class=\"n\"" : "",
                        escaped(table.headings[i]));
  text += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      text += (table.numeric[i] ? "<td class=\"n\">" : "<td>") + escaped(row[i]) + "</td>";
    text += "</tr>\n";
  }
  return text + "</tbody>\n</table>\n</div>\n";
}

std::string rules_html(const Report& report) {
  std::string text =
      "<h2 id=\"rules\">The twelve rules</h2>\n"
      "<p class=\"soft\">After Hoefler &amp; Belli, Scientific Benchmarking of Parallel "
      "Computing Systems, SC'15, doi:10.1145/2807591.2807644.</p>\n"
      "<ol class=\"rules\">\n";
  for (const ReportRule& rule : report.rules) {
    text += fmt::format("<li>{} <span class=\"soft\">{}</span>", escaped(rule.demand),
                        escaped(rule.how));
    for (const std::string& unmet : rule.unmet)
      text += fmt::format(" <strong class=\"unmet\">Not satisfied: {}.</strong>", escaped(unmet));
    text += "</li>\n";
  }
  return text + "</ol>\n";
}

std::string head(const Report& report) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<meta name=\"generator\" content=\"cleave {}\">\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n",
      version, escaped(report.title), page_style);
}

} // namespace

std::string as_page(const Report& report, std::span<const std::string> drawings) {
  std::string page = head(report);
  page += fmt::format("<main>\n<h1>{}</h1>\n", escaped(report.title));
  page += paragraph(report.base) + paragraph(report.conditions, " class=\"soft\"");
  page += advice_html(report, !drawings.empty());
  page += figures_html(report, drawings);
  for (const ReportTable& table : report.tables)
    page += table_html(table);
  page += rules_html(report);
  page += "<h2>Notes</h2>\n";
  for (const std::string& note : report.notes)
    page += paragraph(note);
  page += fmt::format("</main>\n<div id=\"tip\" role=\"tooltip\" hidden></div>\n"
                      "<script>{}</script>\n</body>\n</html>\n",
                      page_script);
  return page;
}

} // namespace cleave
