// A report for a terminal, in at most 100 columns.
#include "../words.hpp"
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace cleave {
namespace {

using namespace report;

constexpr std::size_t width = 100;

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// Words in lines of `width`; all but the first are indented.
std::string wrapped(const std::string& text, const std::string& first, std::size_t indent) {
  std::istringstream words(text);
  std::string lines = first;
  std::size_t used = columns_of(first);
  std::string word;
  bool begins = true;
  while (words >> word) {
    if (!begins && used + 1 + columns_of(word) > width) {
      lines += "\n" + std::string(indent, ' ');
      used = indent;
      begins = true;
    }
    lines += (begins ? "" : " ") + word;
    used += columns_of(word) + (begins ? 0 : 1);
    begins = false;
  }
  return lines + "\n";
}

/// Letters that stand for notes, explained below the table.
class Footnotes {
public:
  std::string mark(const std::vector<std::string>& notes) {
    std::string letters;
    for (const std::string& note : notes) {
      const auto [place, added] =
          letters_.emplace(note, static_cast<char>('a' + letters_.size() % 26));
      letters += place->second;
    }
    return letters;
  }
  [[nodiscard]] std::string text() const {
    std::map<char, std::string> by_letter;
    for (const auto& [note, letter] : letters_)
      by_letter[letter] += (by_letter[letter].empty() ? "" : " / ") + note;
    std::string all;
    for (const auto& [letter, note] : by_letter)
      all += fmt::format("{}{}: {}", all.empty() ? "" : ";  ", letter, note);
    return all.empty() ? "" : wrapped(all, "  ", 2);
  }

private:
  std::map<std::string, char> letters_;
};

/// A column of the table; the higher `spared`, the sooner it gives way to the others.
struct TextColumn {
  std::string heading{};
  bool text = false;
  int spared = 0;
  std::vector<std::string> cells{};

  [[nodiscard]] std::size_t width() const {
    std::size_t most = columns_of(heading);
    for (const std::string& cell : cells)
      most = std::max(most, columns_of(cell));
    return most;
  }
  [[nodiscard]] std::string cell(const std::string& content, std::size_t most) const {
    const std::string room(most - columns_of(content), ' ');
    return text ? content + room : room + content;
  }
};

constexpr int most_missed = 4; ///< columns above it say nothing that is not known

/// Leaves out what the terminal has no room for. @return the headings of it
std::vector<std::string> spare(std::vector<TextColumn>& columns) {
  std::vector<std::string> left_out;
  const auto needed = [&] {
    std::size_t sum = 1;
    for (const TextColumn& column : columns)
      sum += 1 + column.width();
    return sum;
  };
  while (needed() > width) {
    const auto first = std::ranges::max_element(columns, {}, &TextColumn::spared);
    if (first->spared == 0)
      break;
    if (first->spared <= most_missed)
      left_out.push_back(first->heading);
    columns.erase(first);
  }
  return left_out;
}

std::string joined(const std::vector<TextColumn>& columns) {
  std::string text;
  std::vector<std::size_t> widths;
  for (const TextColumn& column : columns)
    widths.push_back(column.width());
  const auto add_line = [&](auto cell_of) {
    std::string line = " ";
    for (std::size_t i = 0; i < columns.size(); ++i)
      line += " " + columns[i].cell(cell_of(columns[i]), widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line([](const TextColumn& column) { return column.heading; });
  for (std::size_t i = 0; i < columns.front().cells.size(); ++i)
    add_line([i](const TextColumn& column) { return column.cells[i]; });
  return text;
}

std::string share(double value) {
  return fmt::format("{:.2f}", value);
}

/// The table of one series.
class SeriesText {
public:
  SeriesText(const Report& report, const Series& series, Footnotes& footnotes)
      : report_(report), series_(series) {
    const TimeUnit unit = unit_of(report.results);
    if (report.table.mode == StudyMode::schedule)
      add({"schedule", true}, [](const Point& point) { return point.key.schedule; });
    add({"nodes", false, several_nodes() ? 1 : 6},
        [](const Point& point) { return std::to_string(point.key.nodes); });
    add({"ranks"}, [](const Point& point) { return std::to_string(point.key.ranks); });
    add({"thr"}, [](const Point& point) { return std::to_string(point.key.threads); });
    add({"n"}, [](const Point& point) { return std::to_string(point.samples.size()); });
    add({fmt::format("time {}", unit.name)},
        [&](const Point& point) { return with_interval(point.time_s(), unit.per_second); });
    if (is_choice(report.table.mode)) { // of equal workers: how many times as fast as the base
      add_scaling("against base", [](const Scaling& s) { return with_interval(s.efficiency); });
    } else {
      add_scaling("speed-up", [](const Scaling& s) { return with_interval(s.speedup); });
      add_scaling("eff", [](const Scaling& s) { return share(s.efficiency.value); });
    }
    add({"imb%", false, 3}, [](const Point& point) {
      return number(point.of_samples([](const Sample& s) { return s.imbalance_percent; }).value, 2);
    });
    add_factor("LB", &Balance::load_balance, 0);
    add_factor("LBin", &Balance::in_nodes, 4);
    add_factor("LBout", &Balance::between_nodes, several_nodes() ? 4 : 5);
    add_factor("CE", &Balance::communication, 0);
    add_factor("PE", &Balance::parallel_efficiency, 0);
    TextColumn notes{"note", true};
    for (std::size_t i = 0; i < series.rows.size(); ++i)
      notes.cells.push_back(footnotes.mark(notes_on(series, i, report.results, report.table.mode)));
    columns_.push_back(std::move(notes));
  }

  /// @param left_out where headings are added that had no room
  std::string text(std::vector<std::string>& left_out) {
    for (std::string& heading : spare(columns_))
      if (std::ranges::find(left_out, heading) == left_out.end())
        left_out.push_back(std::move(heading));
    return joined(columns_);
  }

private:
  [[nodiscard]] bool several_nodes() const {
    return std::ranges::any_of(
        series_.rows, [&](const StudyRow& row) { return point_of(report_, row).key.nodes > 1; });
  }

  template <class Text>
  void add(TextColumn column, Text text) {
    for (const StudyRow& row : series_.rows)
      column.cells.push_back(text(point_of(report_, row)));
    columns_.push_back(std::move(column));
  }

  template <class Text>
  void add_scaling(const char* heading, Text text) {
    TextColumn column{heading};
    for (const StudyRow& row : series_.rows)
      column.cells.push_back(row.scaling ? text(*row.scaling) : "-");
    columns_.push_back(std::move(column));
  }

  void add_factor(const char* heading, double Balance::*member, int spared) {
    add({heading, false, spared}, [member](const Point& point) {
      const double value =
          point.of_samples([member](const Sample& s) { return s.balance.*member; }).value;
      return point.samples.empty() ? std::string("-") : share(value);
    });
  }

  const Report& report_;
  const Series& series_;
  std::vector<TextColumn> columns_;
};

std::string points_text(const Report& report) {
  std::string text;
  Footnotes footnotes;
  std::vector<std::string> left_out;
  for (const Series& series : report.table.series) {
    if (!series.label.empty())
      text += series.label + "\n";
    text += SeriesText(report, series, footnotes).text(left_out);
  }
  text += footnotes.text();
  if (!left_out.empty())
    text +=
        wrapped("without " + join(left_out) + ", for want of room: --format md has all", "  ", 2);
  return text;
}

std::string laws_text(const Report& report) {
  for (const ReportTable& table : report.tables)
    if (table.name == "laws") {
      std::string text;
      for (const auto& row : table.rows)
        text += wrapped(fmt::format("{}: {}; {}.", row[1], row[2], row[3]),
                        row[0] == "all" ? "  " : "  " + row[0] + ": ", 4);
      return text + "\n";
    }
  return "";
}

std::string rules_text(const Report& report) {
  std::string text;
  for (const ReportRule& rule : report.rules)
    for (const std::string& unmet : rule.unmet)
      text += wrapped(unmet, fmt::format("  rule {}: ", rule.number), 4);
  return text.empty() ? "The data satisfy the twelve rules of Hoefler & Belli.\n"
                      : "Rules of Hoefler & Belli that the data do not satisfy:\n" + text;
}

} // namespace

std::string as_text(const Report& report) {
  std::string text =
      report.title + "\n" + wrapped(report.base + " " + report.conditions, "", 0) + "\n";
  text += points_text(report) + "\n" + laws_text(report);
  for (const Figure& figure : report.figures)
    if (figure.name == "speed-up" || figure.name == "efficiency")
      text += character_plot(figure, 60, figure.name == "speed-up" ? 14 : 9) + "\n";
  for (const Advice& advice : report.advice)
    text += wrapped(advice.text, "* ", 2);
  if (!report.advice.empty())
    text += "\n";
  for (const std::string& note : report.notes)
    text += wrapped(note, "", 0);
  return text + rules_text(report);
}

} // namespace cleave
