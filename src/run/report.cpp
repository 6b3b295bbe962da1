#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cleave {

Error Kept::interruption() const {
  const bool lost = save && !save();
  const std::string then = resume.empty() || lost ? "" : "; " + resume;
  if (repetitions == 0)
    return {ErrorKind::interrupted, "interrupted before the first repetition was done" + then};
  return {ErrorKind::interrupted,
          "interrupted; it keeps the " +
              (repetitions == 1 ? "repetition that was"
                                : std::to_string(repetitions) + " repetitions that were") +
              " done" + then,
          {timings.string(), 0, ""}};
}

bool RunReport::resumed() const noexcept {
  return std::ranges::any_of(timings.run, [](const Repetition& repetition) {
    return repetition.state == RepState::resumed;
  });
}

void summarise(RunReport& report, double work) {
  std::vector<double> walls;
  std::vector<double> imbalances;
  std::vector<double> chunks;
  std::vector<double> task_s;
  for (const Repetition& repetition : report.timings.run) {
    if (std::isnan(repetition.wall_s))
      continue; // a part of it was computed by an earlier launch
    walls.push_back(repetition.wall_s);
    std::vector<double> busy;
    double sum_s = 0;
    double tasks = 0;
    chunks.push_back(0);
    for (const RankTimes& rank : repetition.ranks) {
      const double rank_s =
          std::accumulate(rank.thread_busy_s.begin(), rank.thread_busy_s.end(), 0.0);
      busy.push_back(rank_s /
                     static_cast<double>(std::max<std::size_t>(rank.thread_busy_s.size(), 1)));
      sum_s += rank_s;
      tasks += static_cast<double>(rank.tasks_done);
      chunks.back() += static_cast<double>(rank.chunks_done);
    }
    task_s.push_back(sum_s / std::max(tasks, 1.0));
    imbalances.push_back(imbalance_percent(busy));
  }
  if (walls.empty())
    return;
  report.median_s = median(walls);
  report.interval_s = median_interval(walls);
  report.imbalance_percent = median(imbalances);
  report.chunks = median(chunks);
  report.task_s = median(task_s);
  if (report.verified() && report.median_s > 0)
    report.rate = work / report.median_s;
}

} // namespace cleave
