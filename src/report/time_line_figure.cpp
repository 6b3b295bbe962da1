// The time line of a traced repetition.
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace cleave::report {
namespace {

using Worker = std::pair<int, int>; ///< rank and thread

constexpr std::size_t most_lines = 32;
constexpr double narrowest = 1.0 / 800; ///< chunk that is worth a box, as a share of the time line

/// As many workers as can be told apart, spread evenly, and the lines they get.
std::map<Worker, std::size_t> lines_of(const PointTrace& trace) {
  std::set<Worker> workers;
  for (const TraceRow& row : trace.rows)
    workers.insert({row.rank, row.thread});
  const std::size_t shown = std::min(workers.size(), most_lines);
  const std::vector<Worker> all(workers.begin(), workers.end());
  std::map<Worker, std::size_t> lines;
  for (std::size_t i = 0; i < shown; ++i)
    lines.emplace(all[shown < 2 ? 0 : i * (all.size() - 1) / (shown - 1)], i);
  return lines;
}

/// Boxes of chunks, line by line in two shades by turns; those too short to be seen are joined.
class ChunkBoxes {
public:
  /// @param least shortest box, in `unit`
  ChunkBoxes(std::size_t lines, TimeUnit unit, double least)
      : unit_(unit), least_(least), open_(lines) {}

  /// Chunks of a line in the order of their begin.
  void add(std::size_t line, const TraceRow& row) {
    Open& open = open_[line];
    const Interval span = {row.begin_s * unit_.per_second, row.end_s * unit_.per_second};
    if (auto& last = open.mark.x_span;
        last && last->hi - last->lo < least_ && span.lo - last->hi < least_) {
      last->hi = std::max(last->hi, span.hi);
      open.mark.tip.clear();
      joined_ = true;
      return;
    }
    close(open);
    const auto y = static_cast<double>(open_.size() - 1 - line);
    open.mark = {.x = span.lo,
                 .y = y,
                 .x_span = span,
                 .y_span = Interval{y - 0.4, y + 0.4},
                 .tip = fmt::format("rank {} thread {}: tasks {} to {}, {} {}", row.rank,
                                    row.thread, row.first_task, row.first_task + row.tasks - 1,
                                    number(span.hi - span.lo, 3), unit_.name)};
  }

  std::vector<Curve> finish() {
    for (Open& open : open_)
      close(open);
    return {std::move(shades_[1]), std::move(shades_[0])};
  }

  [[nodiscard]] bool joined() const noexcept { return joined_; }

private:
  struct Open {
    Mark mark{};
    std::size_t closed = 0;
  };

  void close(Open& open) {
    if (open.mark.x_span)
      shades_[open.closed++ % 2].marks.push_back(std::move(open.mark));
  }

  TimeUnit unit_;
  double least_;
  bool joined_ = false;
  std::vector<Open> open_; // by line: the box that the next chunk may join
  std::array<Curve, 2> shades_ = {Curve{.stroke = Stroke::boxes, .colour = 5},
                                  Curve{.stroke = Stroke::boxes, .colour = 0}};
};

} // namespace

void add_time_line(const Report& report, const PointTrace& trace, std::vector<Figure>& figures) {
  const std::map<Worker, std::size_t> lines = lines_of(trace);
  std::vector<const TraceRow*> rows;
  double end_s = 0;
  for (const TraceRow& row : trace.rows) {
    rows.push_back(&row);
    end_s = std::max(end_s, row.end_s);
  }
  if (lines.empty() || !(end_s > 0))
    return;
  std::ranges::sort(rows, {}, [](const TraceRow* row) { return row->begin_s; });
  const TimeUnit unit = unit_for(end_s);
  ChunkBoxes boxes(lines.size(), unit, narrowest * end_s * unit.per_second);
  for (const TraceRow* row : rows)
    if (const auto line = lines.find({row->rank, row->thread}); line != lines.end())
      boxes.add(line->second, *row);
  std::vector<std::string> names(lines.size());
  for (const auto& [worker, line] : lines)
    names[lines.size() - 1 - line] = fmt::format("{}.{}", worker.first, worker.second);
  const std::string layout = report.results.points[trace.point].layout_text();
  figures.push_back(
      {.name = "time-line",
       .title = "Chunks on the time line",
       .caption = fmt::format("Chunks of {} in repetition {}, the median one, in two shades by "
                              "turns{}. ",
                              layout, trace.repetition,
                              boxes.joined() ? "; those too short to be seen are joined" : ""),
       .x = number_axis(fmt::format("from the start ({})", unit.name), {0, end_s * unit.per_second},
                        false),
       .y = name_axis("rank.thread", names),
       .curves = boxes.finish()});
}

} // namespace cleave::report
