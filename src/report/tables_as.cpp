// The tables of a report as Markdown and CSV.
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <cmath>

namespace cleave {
namespace {

using namespace report;

/// A text in a cell of Markdown: no mark of a cell's end, no HTML.
std::string in_cell(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|')
      safe += "\\|";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '\n' || c == '\r')
      safe += ' ';
    else
      safe += c;
  }
  return safe;
}

std::string table_markdown(const ReportTable& table) {
  std::string text = fmt::format("## {}\n\n{}\n\n|", table.title, in_cell(table.caption));
  for (const std::string& heading : table.headings)
    text += fmt::format(" {} |", in_cell(heading));
  text += "\n|";
  for (std::size_t i = 0; i < table.headings.size(); ++i)
    text += table.numeric[i] ? " --: |" : " --- |";
  for (const auto& row : table.rows) {
    text += "\n|";
    for (const std::string& cell : row)
      text += fmt::format(" {} |", in_cell(cell));
  }
  return text + "\n\n";
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"')
      quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

/// A line of cells; its headings come from the same calls.
class CsvLine {
public:
  void text(const std::string& heading, const std::string& cell) {
    headings_ += (headings_.empty() ? "" : ",") + heading;
    cells_ += (cells_.empty() ? "" : ",") + csv_cell(cell);
  }
  void value(const std::string& heading, double number) {
    text(heading, std::isfinite(number) ? fmt::format("{:.9g}", number) : "");
  }
  void estimate(const std::string& heading, const Estimate& found) {
    value(heading, found.value);
    value(heading + "_lo", found.interval ? found.interval->lo : NAN);
    value(heading + "_hi", found.interval ? found.interval->hi : NAN);
  }
  [[nodiscard]] const std::string& headings() const { return headings_; }
  [[nodiscard]] const std::string& cells() const { return cells_; }

private:
  std::string headings_;
  std::string cells_;
};

CsvLine csv_line(const Report& report, const Series& series, std::size_t index) {
  const StudyRow& row = series.rows[index];
  const Point& point = point_of(report, row);
  CsvLine line;
  line.text("workload", point.key.workload);
  line.text("series", series.label.empty() ? "all" : series.label);
  line.text("schedule", point.key.schedule);
  line.value("nodes", point.key.nodes);
  line.value("ranks", point.key.ranks);
  line.value("threads", point.key.threads);
  line.value("workers", point.workers);
  line.value("n", static_cast<double>(point.samples.size()));
  line.value("work", point.work);
  line.text("work_unit", point.work_unit);
  line.estimate("time_s", point.time_s());
  const Scaling none{{NAN, {}}, {NAN, {}}, {}};
  const Scaling& scaling = row.scaling ? *row.scaling : none;
  line.estimate("speedup", scaling.speedup);
  line.estimate("efficiency", scaling.efficiency);
  line.value("karp_flatt", scaling.karp_flatt.value_or(NAN));
  line.estimate("imbalance_percent",
                point.of_samples([](const Sample& s) { return s.imbalance_percent; }));
  const auto factor = [&](const char* name, double Balance::*member) {
    line.estimate(name, point.of_samples([member](const Sample& s) { return s.balance.*member; }));
  };
  factor("lb", &Balance::load_balance);
  factor("lb_in", &Balance::in_nodes);
  factor("lb_out", &Balance::between_nodes);
  factor("ce", &Balance::communication);
  factor("pe", &Balance::parallel_efficiency);
  line.text("verified", point.verified() ? "1" : "0");
  line.text("oversubscribed", point.oversubscribed ? "1" : "0");
  line.text("superlinear", row.superlinear ? "1" : "0");
  line.text("base", series.base == index ? "1" : "0");
  line.text("stopped_by", row.stopped_by);
  return line;
}

} // namespace

std::string as_markdown(const Report& report) {
  std::string text = fmt::format("# {}\n\n{}\n\n{}\n\n", in_cell(report.title),
                                 in_cell(report.base), in_cell(report.conditions));
  for (const Advice& advice : report.advice)
    text += fmt::format("- {} ({})\n", in_cell(advice.text), advice.source);
  text += report.advice.empty() ? "" : "\n";
  for (const std::string& note : report.notes)
    text += in_cell(note) + "\n";
  text += "\n";
  for (const ReportTable& table : report.tables)
    text += table_markdown(table);
  text += "## The twelve rules of Hoefler & Belli (SC'15)\n\n";
  for (const ReportRule& rule : report.rules) {
    text += fmt::format("{}. {} {}\n", rule.number, rule.demand, rule.how);
    for (const std::string& unmet : rule.unmet)
      text += fmt::format("   - **not satisfied**: {}\n", in_cell(unmet));
  }
  return text;
}

std::string as_csv(const Report& report) {
  std::string text;
  each_row(report.table, [&](const Series& series, std::size_t index) {
    const CsvLine line = csv_line(report, series, index);
    if (text.empty())
      text = line.headings() + "\r\n";
    text += line.cells() + "\r\n";
  });
  return text;
}

} // namespace cleave
