#include "cleave/run.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cleave {

Error Kept::interruption() const {
  const std::string then = resume.empty() ? "" : "; " + resume;
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

void RunReport::summarise(double work) {
  std::vector<double> walls;
  std::vector<double> imbalances;
  for (const Repetition& repetition : timings.run) {
    if (std::isnan(repetition.wall_s))
      continue; // a part of it was computed by an earlier launch
    walls.push_back(repetition.wall_s);
    std::vector<double> busy;
    for (const RankTimes& rank : repetition.ranks)
      busy.push_back(std::accumulate(rank.thread_busy_s.begin(), rank.thread_busy_s.end(), 0.0) /
                     static_cast<double>(std::max<std::size_t>(rank.thread_busy_s.size(), 1)));
    imbalances.push_back(cleave::imbalance_percent(busy));
  }
  if (walls.empty())
    return;
  median_s = median(walls);
  interval_s = median_interval(walls);
  imbalance_percent = median(imbalances);
  if (verified() && median_s > 0)
    rate = work / median_s;
}

} // namespace cleave
