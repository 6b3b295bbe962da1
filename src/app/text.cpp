#include "text.hpp"

#include "../words.hpp"
#include "lines.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace cleave::app {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_values = 6;   // of a list, before "..."
constexpr std::size_t most_letters = 60; // of a text

std::string counted(double n, const std::string& what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string bytes_text(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit) // three digits at most
    bytes /= 1024;
  return fmt::format("{:.3g} {}", bytes, units[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 60)
    return fmt::format("{:.0f} s", seconds);
  const std::int64_t whole = std::llround(seconds);
  return whole < 3600 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                      : fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

struct FactText {
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const {
    return value.size() <= most_letters ? value : value.substr(0, most_letters) + "...";
  }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < std::min(values.size(), most_values); ++i)
      texts.push_back((*this)(values[i]));
    return join(texts) +
           (values.size() > most_values ? fmt::format(", ... ({} values)", values.size()) : "");
  }
};

// The first label carries the heading; the others stand under it.
std::string fact_lines(const std::string& heading, const Summary& facts) {
  std::size_t width = 0;
  for (const Fact& fact : facts)
    width = std::max(width, fact.name.size());
  std::string text;
  for (const Fact& fact : facts)
    text += line(text.empty() ? heading : "",
                 fmt::format("{:<{}} = {}", fact.name, width, std::visit(FactText{}, fact.value)));
  return text;
}

std::string finding_lines(const Layout& layout, const Circumstances& circumstances, bool notes) {
  std::string text;
  for (const Finding& finding : findings(layout, circumstances)) {
    const bool warning = finding.severity == Finding::Severity::warning;
    if (!warning && !notes)
      continue;
    text += line(warning ? "warning" : "note", finding.what);
    if (!finding.mend.empty())
      text += line("", "mend: " + finding.mend);
  }
  return text;
}

// Repetitions that were computed by this launch alone.
std::size_t measured(const RunReport& report) {
  const std::vector<Repetition>& run = report.timings.run;
  return static_cast<std::size_t>(std::ranges::count_if(
      run, [](const Repetition& repetition) { return !std::isnan(repetition.wall_s); }));
}

// What the job has, as far as it is known.
std::string slurm_text(const SlurmFacts& slurm, const Circumstances& circumstances) {
  std::vector<std::string> has;
  for (const auto& [count, what] : {std::pair(slurm.nodes, "node"), std::pair(slurm.tasks, "task"),
                                    std::pair(slurm.cpus, "CPU")})
    if (count > 0)
      has.push_back(counted(count, what));
  if (slurm.memory_mib > 0)
    has.push_back(bytes_text(static_cast<double>(slurm.memory_mib) * 1024 * 1024) + " a node");
  if (circumstances.seconds_left)
    has.push_back("ends in " + duration_text(static_cast<double>(
                                   std::max<std::int64_t>(*circumstances.seconds_left, 0))));
  return fmt::format("job {}", slurm.job) + (has.empty() ? "" : ": ") + join(has);
}

std::string time_text(const RunReport& report) {
  const std::size_t n = measured(report);
  if (n == 0)
    return "not measured: an earlier launch had computed a part";
  // All digits: what a reader of the file computes is exactly this.
  std::string text = fmt::format("{} s", report.median_s);
  if (n > 1)
    text += fmt::format(", median of {}", n);
  if (report.interval_s)
    return text + fmt::format(", 95 % interval {:.5g} to {:.5g} s", report.interval_s->lo,
                              report.interval_s->hi);
  return text + fmt::format(", no interval at n={}", n);
}

std::string short_time_text(double seconds) {
  constexpr std::array units = {"s", "ms", "us", "ns"};
  std::size_t unit = 0;
  for (; unit + 1 < units.size() && seconds < 1; ++unit)
    seconds *= 1000;
  return fmt::format("{:.3g} {}", seconds, units[unit]);
}

// What `auto` has chosen, and why.
std::string chunks_text(const RunReport& report) {
  const double tasks = static_cast<double>(report.start.tasks) / std::max(report.chunks, 1.0);
  return fmt::format("{:.0f}, of {:.3g} task{} in the mean: a task takes {}", report.chunks, tasks,
                     tasks == 1 ? "" : "s", short_time_text(report.task_s));
}

// Empty for a workload that can be run.
std::string unavailable_text(const Workload& workload, std::size_t indent) {
  return workload.unavailable.empty()
             ? ""
             : fmt::format("{:<{}}not available: {}\n", "", indent, workload.unavailable);
}

std::string range_column(const Parameter& parameter) {
  const std::string range = range_text(parameter);
  return parameter.unit.empty() ? range
         : range.empty()        ? parameter.unit
                                : range + " " + parameter.unit;
}

} // namespace

std::string error_text(const Error& error, int rank) {
  return rank < 0 ? fmt::format("cleave: error: {}\n", error.what())
                  : fmt::format("cleave: error: on rank {}: {}\n", rank, error.what());
}

std::string start_text(const RunStart& start, bool verbose) {
  std::string text = line("layout", start.layout.summary() + ", " + start.layout.shape());
  text += finding_lines(start.layout, {start.memory_bytes, {}}, verbose);
  std::vector<std::string> parameters;
  for (const Fact& fact : start.parameters)
    parameters.push_back(fact.name + "=" + std::visit(FactText{}, fact.value));
  text += line("workload", start.workload + (parameters.empty() ? "" : ": ") + join(parameters));
  text +=
      line("schedule", start.schedule + ", " + counted(static_cast<double>(start.tasks), "task"));
  if (verbose)
    text += line("data path", start.data_path);
  return text;
}

std::string dry_run_text(const RunStart& start) {
  std::string text = line("leaves", fmt::format("{}", start.leaves));
  text += line("memory", "about " + bytes_text(start.memory_bytes) + " at the root");
  for (std::size_t i = 0; i < start.files.size(); ++i)
    text += line(i == 0 ? "files" : "", start.files[i].string());
  for (std::size_t i = 0; i < start.preview.size(); ++i)
    text += line(i == 0 ? "first" : "", start.preview[i]);
  return text + line("", "dry run: nothing was computed, nothing was written");
}

std::string repetition_text(const Repetition& repetition, int index, bool warm_up) {
  return line(warm_up ? "warm-up" : "repetition",
              fmt::format("{}: {} s, checksum {}", index + 1, repetition.wall_s,
                          hex16(repetition.checksum)));
}

std::string report_text(const RunReport& report, bool verbose) {
  std::string text;
  const bool wrong = report.verdict.verify == Verify::failed;
  if (!wrong) {
    text += line("time", time_text(report));
    if (report.rate)
      text += line("rate", fmt::format("{:.5g} {}", *report.rate, report.rate_unit));
    if (report.start.schedule == Schedule().text() && report.chunks > 0)
      text += line("chunks", chunks_text(report));
    if (!std::isnan(report.imbalance_percent))
      text += line("imbalance", fmt::format("{:.2f} %, (max/mean - 1) of the ranks' busy time",
                                            report.imbalance_percent));
  }
  if (report.stopped_by == "budget")
    text += line("stopped", "the time budget is spent");
  text += line(wrong               ? "WRONG"
               : report.verified() ? "verified"
                                   : "unchecked",
               report.verdict.how.empty() ? "this workload has no check: no rate is told"
                                          : report.verdict.how);
  text += line("checksum", hex16(report.checksum));
  text += fact_lines("result", report.result);
  if (verbose)
    for (std::size_t i = 0; i < report.details.size(); ++i)
      text += line(i == 0 ? "details" : "", report.details[i]);
  for (std::size_t i = 0; i < report.files.size(); ++i)
    text += line(i == 0 ? "files" : "", report.files[i].string());
  return text;
}

std::string layout_text(const Layout& layout, const std::string& data_path,
                        const Circumstances& circumstances) {
  std::string text = line("layout", layout.summary() + ", " + layout.shape());
  if (layout.facts().slurm.job != 0)
    text += line("slurm", slurm_text(layout.facts().slurm, circumstances));
  for (std::size_t n = 0; n < layout.nodes().size(); ++n) {
    const NodePlace& node = layout.nodes()[n];
    text += line(fmt::format("node {}", n),
                 fmt::format("{}: {}, {}, {}", node.name, node.cpu_model,
                             counted(node.cores, "core"), counted(node.sockets, "socket")));
    if (node.quota_cpus > 0)
      text += line("", fmt::format("the cgroup allows {:.3g} CPUs", node.quota_cpus));
    text += line("", fmt::format("{:>5}  {:>8}  {:>7}  {}", "rank", "pid", "threads", "cpus"));
    for (std::size_t r = 0; r < layout.ranks().size(); ++r)
      if (const RankPlace& rank = layout.ranks()[r]; rank.node == static_cast<int>(n))
        text += line("", fmt::format("{:>5}  {:>8}  {:>7}  {}", r, rank.pid, rank.threads,
                                     cpu_list(rank.cpus)));
  }
  if (!data_path.empty())
    text += line("data path", data_path);
  const std::string found = finding_lines(layout, circumstances, true);
  return text + (found.empty() ? line("doctor", "nothing odd") : found);
}

std::string list_text(const std::vector<Workload>& workloads) {
  std::size_t width = 0;
  for (const Workload& workload : workloads)
    width = std::max(width, workload.name.size());
  std::string text;
  for (const Workload& workload : workloads)
    text += fmt::format("{:<{}}  {}\n", workload.name, width, workload.summary) +
            unavailable_text(workload, width + 2);
  return text + "\ncleave list NAME shows the parameters of one.\n";
}

std::string workload_text(const Workload& workload) {
  std::vector<std::array<std::string, 5>> rows = {{"parameter", "type", "default", "range", ""}};
  for (const Parameter& p : workload.parameters)
    rows.push_back({p.name, name(p.type), p.required ? "(required)" : p.default_value,
                    range_column(p), p.summary});
  std::array<std::size_t, 4> widths{};
  for (const auto& row : rows)
    for (std::size_t c = 0; c < widths.size(); ++c)
      widths[c] = std::max(widths[c], row[c].size());
  std::string text =
      workload.name + ": " + workload.summary + "\n" + unavailable_text(workload, 0) + "\n";
  for (const auto& row : rows) {
    std::string shown;
    for (std::size_t c = 0; c < widths.size(); ++c)
      shown += fmt::format("{:<{}}  ", row[c], widths[c]);
    shown += row[4];
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + "\n";
  }
  return text;
}

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) != 0) {
  next_ = Clock::now() + (terminal_ ? Clock::duration(300ms) : Clock::duration(30s));
}

void ProgressLine::show(const Progress& progress) {
  const auto now = Clock::now();
  if (now < next_)
    return;
  next_ = now + (terminal_ ? Clock::duration(100ms) : Clock::duration(30s));
  const std::string left =
      std::isnan(progress.left_s) ? "" : ", about " + duration_text(progress.left_s) + " left";
  const std::string text = line(
      "progress", fmt::format("repetition {} of {}{}, {:.0f} %{}{}{}", progress.repetition + 1,
                              progress.repetitions, progress.warm_up ? " (warm-up)" : "",
                              progress.fraction * 100, progress.of_step ? " of a step" : "", left,
                              progress.standing.empty() ? "" : ": " + progress.standing));
  if (terminal_)
    mutter("\r\033[K" + text.substr(0, text.size() - 1));
  else
    mutter(text);
  shown_ = true;
}

void ProgressLine::clear() {
  if (terminal_ && shown_)
    mutter("\r\033[K");
  shown_ = false;
}

} // namespace cleave::app
