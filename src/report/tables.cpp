#include "../words.hpp"
#include "parts.hpp"
#include "wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace cleave::report {
namespace {

constexpr std::size_t most_loads = 64;

/// Adds columns and their cells together, so that they cannot differ in number.
class TableMaker {
public:
  explicit TableMaker(ReportTable& table) : table_(table) {}
  void row() {
    table_.rows.emplace_back();
    first_ = table_.rows.size() == 1;
  }
  void cell(const std::string& heading, std::string text, bool numeric = true) {
    if (first_) {
      table_.headings.push_back(heading);
      table_.numeric.push_back(numeric);
    }
    table_.rows.back().push_back(std::move(text));
  }

private:
  ReportTable& table_;
  bool first_ = false;
};

template <class Figure>
std::string of_samples(const Point& point, Figure figure, double factor = 1) {
  return point.samples.empty() ? "-" : with_interval(point.of_samples(figure), factor);
}

bool several_schedules(const Results& results) {
  std::set<std::string> schedules;
  for (const Point& point : results.points)
    schedules.insert(point.key.schedule);
  return schedules.size() > 1;
}

/// The cells that say which point a row is about.
class PointCells {
public:
  explicit PointCells(const Report& report)
      : series_(report.table.series.size() > 1), schedules_(several_schedules(report.results)) {
    for (const Point& point : report.results.points)
      nodes_ = nodes_ || point.key.nodes > 1;
  }
  void add(TableMaker& table, const Series& series, const Point& point) const {
    if (series_)
      table.cell("series", series.label, false);
    if (schedules_)
      table.cell("schedule", schedule_of(point), false);
    if (nodes_)
      table.cell("nodes", std::to_string(point.key.nodes));
    table.cell("ranks", std::to_string(point.key.ranks));
    table.cell("threads", std::to_string(point.key.threads));
  }

private:
  static std::string schedule_of(const Point& point) {
    const bool chosen = !point.schedule_used.empty() && point.schedule_used != point.key.schedule;
    return chosen ? point.key.schedule + " (" + point.schedule_used + ")" : point.key.schedule;
  }

  bool series_;
  bool schedules_;
  bool nodes_ = false;
};

void add_balance_cells(TableMaker& table, const Point& point) {
  const auto factor = [&](const char* heading, double Balance::*member) {
    table.cell(heading, of_samples(point, [member](const Sample& s) { return s.balance.*member; }));
  };
  table.cell("imbalance %", of_samples(point, [](const Sample& s) { return s.imbalance_percent; }));
  factor("LB", &Balance::load_balance);
  factor("LB_in", &Balance::in_nodes);
  factor("LB_out", &Balance::between_nodes);
  factor("CE", &Balance::communication);
  factor("PE", &Balance::parallel_efficiency);
}

ReportTable points_table(const Report& report) {
  const TimeUnit unit = unit_of(report.results);
  const PointCells cells(report);
  ReportTable table{"points",
                    "Points",
                    "Imbalance = (max/mean - 1) 100 % of the ranks' busy times; LB = LB_in LB_out "
                    "= mean/max of them, in and between nodes; CE = max/time; PE = LB CE. ",
                    {},
                    {},
                    {}};
  TableMaker maker(table);
  each_row(report.table, [&](const Series& series, std::size_t index) {
    const StudyRow& row = series.rows[index];
    const Point& point = point_of(report, row);
    maker.row();
    cells.add(maker, series, point);
    maker.cell("n", std::to_string(point.samples.size()));
    maker.cell(fmt::format("time {}", unit.name),
               point.samples.empty() ? "-" : with_interval(point.time_s(), unit.per_second));
    const auto of_base = [&](Estimate Scaling::*figure) {
      return row.scaling ? with_interval((*row.scaling).*figure) : "-";
    };
    if (!is_choice(report.table.mode))
      maker.cell("speed-up", of_base(&Scaling::speedup));
    maker.cell(is_choice(report.table.mode) ? "against the base" : "efficiency",
               of_base(&Scaling::efficiency));
    add_balance_cells(maker, point);
    maker.cell("note", join(notes_on(series, index, report.results, report.table.mode)), false);
  });
  return table;
}

ReportTable phases_table(const Report& report) {
  const PointCells cells(report);
  ReportTable table{
      "phases",
      "Where time went",
      "Share of the wall time, mean over ranks, median over repetitions, in percent. ",
      {},
      {},
      {}};
  TableMaker maker(table);
  each_row(report.table, [&](const Series& series, std::size_t index) {
    const Point& point = point_of(report, series.rows[index]);
    maker.row();
    cells.add(maker, series, point);
    for (const Phase phase : {Phase::scatter, Phase::compute, Phase::wait, Phase::gather}) {
      const auto at = static_cast<std::size_t>(phase);
      maker.cell(std::string(phase_names[at]) + " %",
                 of_samples(
                     point, [at](const Sample& s) { return s.phase_s[at] / s.wall_s; }, 100));
    }
    maker.cell("threads of a rank, mean/max",
               of_samples(point, [](const Sample& s) { return s.thread_balance; }));
    maker.cell("start skew us", of_samples(
                                    point, [](const Sample& s) { return s.barrier_skew_s; }, 1e6));
  });
  return table;
}

ReportTable repetitions_table(const Report& report) {
  const TimeUnit unit = unit_of(report.results);
  const PointCells cells(report);
  ReportTable table{"repetitions",
                    "Repetitions",
                    "Wall times of the repetitions; quartiles by interpolation. ",
                    {},
                    {},
                    {}};
  TableMaker maker(table);
  each_row(report.table, [&](const Series& series, std::size_t index) {
    const Point& point = point_of(report, series.rows[index]);
    std::vector<double> walls = point.wall_s();
    std::ranges::sort(walls);
    const auto quantile = [&](double share) {
      if (walls.empty())
        return std::string("-");
      const double place = share * static_cast<double>(walls.size() - 1);
      const auto below = static_cast<std::size_t>(place);
      const double over = walls[std::min(below + 1, walls.size() - 1)] - walls[below];
      return number((walls[below] + (place - static_cast<double>(below)) * over) * unit.per_second,
                    4);
    };
    maker.row();
    cells.add(maker, series, point);
    maker.cell("n", std::to_string(walls.size()));
    for (const auto& [name, share] :
         {std::pair{"least", 0.0}, std::pair{"25 %", 0.25}, std::pair{"median", 0.5},
          std::pair{"75 %", 0.75}, std::pair{"most", 1.0}})
      maker.cell(fmt::format("{} {}", name, unit.name), quantile(share));
    maker.cell("stopped by", series.rows[index].stopped_by, false);
  });
  return table;
}

std::string verdict_on(const LawFit& law) {
  if (!law.rejected().empty())
    return "model rejected: " + law.rejected();
  if (law.peak())
    return fmt::format("not rejected; most speed at {} workers", number(*law.peak(), 3));
  return "not rejected";
}

ReportTable laws_table(const Report& report) {
  ReportTable table{
      "laws",
      "Laws of scaling",
      "Least squares of relative residuals through all verified points of a series. "
      "Amdahl: S = 1/(f + (1-f)/p); Gustafson: S = p - f(p-1); USL: S = p/(1 + a(p-1) "
      "+ b p(p-1)). ",
      {},
      {},
      {}};
  TableMaker maker(table);
  for (const Series& series : report.table.series)
    for (const LawFit& law : series.laws) {
      std::vector<std::string> parameters;
      for (const LawParameter& parameter : law.parameters())
        parameters.push_back(parameter.name + " = " + with_interval(parameter.estimate));
      maker.row();
      maker.cell("series", series.label.empty() ? "all" : series.label, false);
      maker.cell("law", law.name(), false);
      maker.cell("parameters [95 %]", join(parameters, "; "), false);
      maker.cell("verdict", verdict_on(law), false);
    }
  return table;
}

ReportTable loads_table(const Point& point) {
  std::vector<const RankLoad*> loads;
  for (const RankLoad& load : point.loads)
    loads.push_back(&load);
  std::ranges::stable_sort(loads, std::greater<>{},
                           [](const RankLoad* load) { return load->busy_s(); });
  const std::size_t shown = std::min(loads.size(), most_loads);
  const TimeUnit unit = unit_for(loads.empty() ? 1 : loads.front()->busy_s());
  ReportTable table{
      "loads",
      "Load per rank",
      fmt::format("{}, its median repetition, busiest rank first{}. ", point.layout_text(),
                  shown < loads.size() ? fmt::format(" ({} of {} ranks)", shown, loads.size())
                                       : std::string()),
      {},
      {},
      {}};
  TableMaker maker(table);
  for (const RankLoad* load : std::span(loads).first(shown)) {
    const auto [least, most] = std::ranges::minmax_element(load->thread_busy_s);
    const auto phase = [&](Phase which) {
      return number(load->phase_s[static_cast<std::size_t>(which)] * unit.per_second, 4);
    };
    maker.row();
    maker.cell("rank", std::to_string(load->rank));
    maker.cell("host", load->host, false);
    maker.cell("cores", load->cpus, false);
    maker.cell(fmt::format("busy {}", unit.name), number(load->busy_s() * unit.per_second, 4));
    maker.cell("its threads", load->thread_busy_s.empty()
                                  ? "-"
                                  : number(*least * unit.per_second, 4) + " to " +
                                        number(*most * unit.per_second, 4));
    maker.cell("compute", phase(Phase::compute));
    maker.cell("wait", phase(Phase::wait));
  }
  return table;
}

ReportTable environment_table(const Report& report) {
  ReportTable table{"environment", "Environment", "What all files agree in. ", {}, {}, {}};
  TableMaker maker(table);
  for (const auto& [fact, text] : report.results.facts) {
    maker.row();
    maker.cell("fact", fact, false);
    maker.cell("value", text, false);
  }
  return table;
}

} // namespace

std::vector<ReportTable> make_tables(const Report& report) {
  std::vector<ReportTable> tables = {points_table(report), laws_table(report), phases_table(report),
                                     repetitions_table(report)};
  if (const auto largest = largest_point(report.results, report.table.mode))
    tables.push_back(loads_table(report.results.points[*largest]));
  tables.push_back(environment_table(report));
  std::erase_if(tables, [](const ReportTable& table) { return table.rows.empty(); });
  return tables;
}

} // namespace cleave::report
