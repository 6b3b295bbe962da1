#include "study_text.hpp"

#include "lines.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace cleave::app {
namespace {

std::string seconds_text(double seconds) {
  return fmt::format("{:.4g} s", seconds);
}

// "1.234 s +- 0.8 %, n=12".
std::string median_text(const Point& point) {
  if (point.samples.empty())
    return "nothing measured yet";
  const Estimate time = point.time_s();
  const std::string half =
      time.interval
          ? fmt::format(" +- {:.3g} %", 50 * (time.interval->hi - time.interval->lo) / time.value)
          : "";
  return fmt::format("{}{}, n={}", seconds_text(time.value), half, point.samples.size());
}

std::string standing_text(const PlannedPoint& planned, const PointStatus& status,
                          const Measure& measure) {
  const std::string mark = planned.oversubscribed ? ", over-subscribed" : "";
  switch (status.standing) {
  case Standing::missing:
    return "missing" + mark;
  case Standing::partly:
    return fmt::format("partly: {} of {}{}", status.measured.samples.size(), measure.repetitions,
                       mark);
  case Standing::running:
    return "running: " + status.why + mark;
  case Standing::failed:
    return "failed: " + status.why + mark;
  case Standing::done:
    break;
  }
  return fmt::format("done: {} ({}){}", median_text(status.measured), status.stopped_by, mark);
}

std::string state_text(const PointStatus& status) {
  switch (status.standing) {
  case Standing::failed:
    return "FAILED: " + status.why;
  case Standing::running:
    return "running: " + status.why;
  case Standing::missing:
    return "missing";
  case Standing::partly:
    return "not finished";
  case Standing::done:
    break;
  }
  return status.stopped_by;
}

} // namespace

std::string study_time_text(double seconds) {
  if (seconds < 60)
    return fmt::format("{:.0f} s", std::max(seconds, 0.0));
  const std::int64_t whole = std::llround(seconds);
  return whole < 3600 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                      : fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string study_dry_run_text(const StudyPlan& plan, const StudyOptions& options,
                               std::span<const PointStatus> points,
                               const std::map<int, std::string>& queued) {
  const Measure& measure = plan.record.measure;
  std::string text =
      line("study",
           fmt::format("{}: {}, {} of {} points, at most {} repetitions each", plan.record.title,
                       study_mode_names[static_cast<std::size_t>(plan.record.mode)],
                       options.chosen.size(), plan.points.size(), measure.repetitions));
  text += line("folder", options.directory.string());
  for (const std::size_t i : options.chosen) {
    const PlannedPoint& planned = plan.points[i];
    const PointStatus& status = points[i];
    const bool waits = status.standing == Standing::missing || status.standing == Standing::partly;
    const auto job = queued.find(planned.key.nodes);
    const std::string also =
        waits && job != queued.end() ? ", queued as Slurm job " + job->second : "";
    text += line("point", planned.stem + "  " + standing_text(planned, status, measure) + also);
    if (status.standing != Standing::done && status.standing != Standing::running)
      text += "  " + shell_text(next_launch(plan, options, i, status)) + "\n";
  }
  return text + line("", "dry run: nothing was started, nothing was written");
}

std::string study_summary_text(const StudyPlan& plan, const StudyOptions& options,
                               std::span<const PointStatus> points) {
  std::size_t width = 5;
  for (const std::size_t i : options.chosen)
    width = std::max(width, plan.points[i].stem.size());
  std::string text = fmt::format("{:<{}}  {:>4}  {:>10}  {:<22}  {}\n", "point", width, "n",
                                 "median", "95 % interval", "stopped by");
  for (const std::size_t i : options.chosen) {
    const PointStatus& status = points[i];
    const Estimate time = status.measured.time_s();
    const std::size_t n = status.measured.samples.size();
    const std::string interval =
        time.interval ? fmt::format("{:.4g} to {:.4g} s", time.interval->lo, time.interval->hi)
                      : fmt::format("none at n={}", n);
    text += fmt::format("{:<{}}  {:>4}  {:>10}  {:<22}  {}{}\n", plan.points[i].stem, width, n,
                        n == 0 ? "" : seconds_text(time.value), interval, state_text(status),
                        plan.points[i].oversubscribed ? " (over-subscribed)" : "");
  }
  return text;
}

StudyProgress::StudyProgress(const StudyPlan& plan)
    : plan_(plan), terminal_(isatty(STDERR_FILENO) != 0) {}

void StudyProgress::show(const StudyVisit& visit) {
  const std::string left =
      std::isnan(visit.left_s) ? "" : ", at most " + study_time_text(visit.left_s) + " left";
  const bool failed = visit.status->standing == Standing::failed;
  const std::string end = visit.status->stopped_by.empty() ? "" : ", " + visit.status->stopped_by;
  const std::string text = fmt::format(
      "{:<{}}round {}, {} of {} points done{}: {}: {}", "progress", label_width, visit.round,
      visit.done, visit.wanted, left, plan_.points[visit.point].stem,
      failed ? "FAILED, " + visit.status->why : median_text(visit.status->measured) + end);
  if (terminal_ || !visit.begins)
    put(text, failed);
}

void StudyProgress::note(const std::string& text) {
  put(line("note", text), true);
}

void StudyProgress::put(const std::string& text, bool for_good) {
  const std::string bare = text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
  const bool stays = for_good || !terminal_;
  mutter((terminal_ ? "\r\033[K" : "") + bare + (stays ? "\n" : ""));
  shown_ = !stays;
}

void StudyProgress::clear() {
  if (shown_)
    mutter("\r\033[K");
  shown_ = false;
}

} // namespace cleave::app
