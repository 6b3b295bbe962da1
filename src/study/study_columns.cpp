// study.h5: one row a point, columns of medians and intervals; the laws in a group of their own.
#include "cleave/columns.hpp"
#include "cleave/study_table.hpp"

#include <unistd.h>

#include <utility>

namespace cleave {
namespace {

/// The rows of all series, one below the other, as columns.
class PointColumns {
public:
  PointColumns(const Results& results, const StudyTable& table) : results_(results), table_(table) {
    describe_points();
    measured_times();
    scaling();
    where_time_went();
  }

  [[nodiscard]] std::vector<Column> take() { return std::move(columns_); }

private:
  /// Adds a column of what `value` says of each row, of the type that it returns.
  template <class Value>
  void add(const char* name, const char* units, const char* long_name, Value value) {
    std::vector<std::decay_t<decltype(value(StudyRow(), Point(), Series()))>> values;
    for (const Series& series : table_.series)
      for (const StudyRow& row : series.rows)
        values.push_back(value(row, results_.points[row.point], series));
    columns_.push_back({name, units, long_name, std::move(values)});
  }

  /// Three columns: the value and the ends of its interval.
  template <class Value>
  void add_estimate(const std::string& name, const char* units, const std::string& long_name,
                    Value value) {
    const auto part = [&](const std::string& suffix, const std::string& meaning, auto take) {
      add((name + suffix).c_str(), units, (long_name + meaning).c_str(),
          [&](const StudyRow& row, const Point& point, const Series&) {
            const std::optional<Estimate> estimate = value(row, point);
            return estimate ? take(*estimate) : not_measured;
          });
    };
    part("", "", [](const Estimate& e) { return e.value; });
    part("_lo", ", lower end of the 95 % interval",
         [](const Estimate& e) { return e.interval ? e.interval->lo : not_measured; });
    part("_hi", ", upper end of the 95 % interval",
         [](const Estimate& e) { return e.interval ? e.interval->hi : not_measured; });
  }

  template <class Value>
  void add_of_samples(const char* name, const char* units, const char* long_name, Value value) {
    add_estimate(name, units, long_name, [&](const StudyRow&, const Point& point) {
      return std::optional(point.of_samples(value));
    });
  }

  void describe_points() {
    using Text = std::string;
    add("series", "1", "points of one series share a base",
        [&](const StudyRow&, const Point&, const Series& series) {
          return static_cast<std::int64_t>(&series - table_.series.data());
        });
    add("label", "", "what the points of the series have in common, and others have not",
        [](const StudyRow&, const Point&, const Series& series) { return series.label; });
    add("base", "1", "1: the base of its series",
        [](const StudyRow& row, const Point&, const Series& series) {
          return std::int64_t{series.base && &row == &series.rows[*series.base]};
        });
    add("workload", "", "workload",
        [](const StudyRow&, const Point& point, const Series&) { return point.key.workload; });
    add("parameters", "", "its parameters", [](const StudyRow&, const Point& point, const Series&) {
      Text text;
      for (const auto& [name, value] : point.parameters)
        text.append(text.empty() ? "" : " ").append(name).append("=").append(value);
      return text;
    });
    add("config_hash", "", "of workload and parameters",
        [](const StudyRow&, const Point& point, const Series&) { return point.key.config_hash; });
    add("schedule", "", "schedule as asked for",
        [](const StudyRow&, const Point& point, const Series&) { return point.key.schedule; });
    add("schedule_used", "", "what auto chose, in the median repetition",
        [](const StudyRow&, const Point& point, const Series&) { return point.schedule_used; });
    const auto count = [this](const char* name, const char* long_name, auto take) {
      add(name, "1", long_name, [take](const StudyRow&, const Point& point, const Series&) {
        return static_cast<std::int64_t>(take(point));
      });
    };
    count("nodes", "nodes", [](const Point& p) { return p.key.nodes; });
    count("ranks", "ranks", [](const Point& p) { return p.key.ranks; });
    count("threads", "the most threads in a rank", [](const Point& p) { return p.key.threads; });
    count("workers", "threads of all ranks", [](const Point& p) { return p.workers; });
    count("oversubscribed", "1: more workers than cores",
          [](const Point& p) { return p.oversubscribed; });
    count("tasks", "tasks of a repetition", [](const Point& p) { return p.tasks; });
    count("files", "timings files of the point", [](const Point& p) { return p.files.size(); });
  }

  void measured_times() {
    const auto count = [this](const char* name, const char* long_name, auto take) {
      add(name, "1", long_name, [take](const StudyRow&, const Point& point, const Series&) {
        return static_cast<std::int64_t>(take(point));
      });
    };
    count("n", "completed repetitions", [](const Point& p) { return p.samples.size(); });
    count("verified", "1: all answers were checked and right",
          [](const Point& p) { return p.verified(); });
    count("wrong", "repetitions with a wrong answer", [](const Point& p) { return p.wrong; });
    count("interrupted", "repetitions cut short", [](const Point& p) { return p.interrupted; });
    add("stopped_by", "", "why there are no more repetitions",
        [](const StudyRow& row, const Point&, const Series&) { return row.stopped_by; });
    add("work", "1", "work of a repetition, in work_unit",
        [](const StudyRow&, const Point& point, const Series&) { return point.work; });
    add("work_unit", "", "unit of work",
        [](const StudyRow&, const Point& point, const Series&) { return point.work_unit; });
    add_estimate("time", "s", "median completion time",
                 [](const StudyRow&, const Point& point) { return std::optional(point.time_s()); });
  }

  void scaling() {
    const auto add_figure = [this](const char* name, const char* long_name, auto take) {
      add_estimate(name, "1", long_name,
                   [take](const StudyRow& row, const Point&) -> std::optional<Estimate> {
                     return row.scaling ? take(*row.scaling) : std::nullopt;
                   });
    };
    add_figure("speedup", "speed-up against the base",
               [](const Scaling& s) { return std::optional(s.speedup); });
    add_figure("efficiency", "parallel efficiency against the base",
               [](const Scaling& s) { return std::optional(s.efficiency); });
    add("karp_flatt", "1", "Karp-Flatt serial fraction",
        [](const StudyRow& row, const Point&, const Series&) {
          return row.scaling && row.scaling->karp_flatt ? *row.scaling->karp_flatt : not_measured;
        });
  }

  void where_time_went() {
    add_of_samples("imbalance", "percent", "(max/mean - 1) of the ranks' busy times",
                   [](const Sample& s) { return s.imbalance_percent; });
    add_of_samples("load_balance", "1", "LB = mean/max busy time of ranks",
                   [](const Sample& s) { return s.balance.load_balance; });
    add_of_samples("load_balance_in_nodes", "1", "LB_in",
                   [](const Sample& s) { return s.balance.in_nodes; });
    add_of_samples("load_balance_between_nodes", "1", "LB_out",
                   [](const Sample& s) { return s.balance.between_nodes; });
    add_of_samples("communication_efficiency", "1", "CE = max busy time / completion time",
                   [](const Sample& s) { return s.balance.communication; });
    add_of_samples("parallel_efficiency", "1", "PE = LB CE",
                   [](const Sample& s) { return s.balance.parallel_efficiency; });
    for (std::size_t phase = 0; phase < phase_count; ++phase)
      add((std::string(phase_names[phase]) + "_time").c_str(), "s",
          "median over repetitions of the mean over ranks",
          [phase](const StudyRow&, const Point& point, const Series&) {
            return point.of_samples([phase](const Sample& s) { return s.phase_s[phase]; }).value;
          });
  }

  const Results& results_;
  const StudyTable& table_;
  std::vector<Column> columns_;
};

/// One row a parameter of a law.
ColumnTable law_table(const StudyTable& table) {
  std::vector<std::int64_t> series;
  std::vector<std::string> laws;
  std::vector<std::string> names;
  std::vector<std::string> rejected;
  std::vector<double> values;
  std::vector<double> lower;
  std::vector<double> upper;
  for (const Series& one : table.series)
    for (const LawFit& law : one.laws)
      for (const auto& [name, estimate] : law.parameters()) {
        series.push_back(&one - table.series.data());
        laws.push_back(law.name());
        names.push_back(name);
        rejected.push_back(law.rejected());
        values.push_back(estimate.value);
        lower.push_back(estimate.interval ? estimate.interval->lo : not_measured);
        upper.push_back(estimate.interval ? estimate.interval->hi : not_measured);
      }
  return {"laws",
          "parameter",
          {},
          {{"series", "1", "series that the law was fitted to", std::move(series)},
           {"law", "", "Amdahl, USL or Gustafson", std::move(laws)},
           {"name", "", "name of the parameter", std::move(names)},
           {"rejected", "", "why the law does not hold; empty: it may", std::move(rejected)},
           {"value", "1", "fitted value", std::move(values)},
           {"value_lo", "1", "lower end of the 95 % interval", std::move(lower)},
           {"value_hi", "1", "upper end of the 95 % interval", std::move(upper)}}};
}

/// One row a host, and one a fact of the provenance in which all files agree.
ColumnTable text_table(const char* group, const char* dimension,
                       const std::map<std::string, std::string>& texts) {
  std::vector<std::string> names;
  std::vector<std::string> values;
  for (const auto& [name, text] : texts) {
    names.push_back(name);
    values.push_back(text);
  }
  return {group,
          dimension,
          {},
          {{"name", "", "name", std::move(names)}, {"value", "", "value", std::move(values)}}};
}

} // namespace

void write_study(const std::filesystem::path& file, const Results& results,
                 const StudyTable& table) {
  std::string hosts;
  for (const std::string& host : results.hosts)
    hosts.append(hosts.empty() ? "" : " ").append(host);
  ColumnTable points{"", "point", {}, PointColumns(results, table).take()};
  points.attributes = {{"format", "cleave-study"},
                       {"format_version", "1.0"},
                       {"title", results.study ? results.study->title : ""},
                       {"mode", study_mode_names[static_cast<std::size_t>(table.mode)]},
                       {"summary_method", "median, exact order-statistic 95 % interval"},
                       {"drift_p", std::to_string(table.drift_p)},
                       {"drift_percent", std::to_string(table.drift_percent)},
                       {"hosts", hosts}};
  const std::array tables{std::move(points), law_table(table),
                          text_table("provenance", "fact", results.facts)};
  write_columns(file, tables);
}

void renew_study(const Results& results, const StudyTable& table) {
  if (results.study && access(results.path.c_str(), W_OK) == 0)
    write_study(results.path / "study.h5", results, table);
}

} // namespace cleave
