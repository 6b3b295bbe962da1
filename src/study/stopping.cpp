#include "cleave/results.hpp"

#include <numeric>

namespace cleave {

std::string stopped_by(const Point& point, const Measure& measure) {
  std::vector<double> walls;
  for (const Sample& sample : point.samples)
    walls.push_back(sample.wall_s);
  const double middle = median(walls);
  if (const auto interval = median_interval(walls); interval && measure.half_width > 0)
    if ((interval->hi - interval->lo) / 2 <= measure.half_width * middle)
      return "half width";
  if (std::ssize(walls) >= measure.repetitions)
    return "repetitions";
  if (measure.budget_s > 0 && std::accumulate(walls.begin(), walls.end(), 0.0) >= measure.budget_s)
    return "budget";
  return "";
}

} // namespace cleave
