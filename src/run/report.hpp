/// @file
/// The figures of a run's report.
#pragma once

#include "cleave/run.hpp"

namespace cleave {

/// Fills them in from the measured repetitions: median, interval, imbalance, chunks, and the rate
/// of a verified answer. @param work of one repetition, in units of `rate_unit` times seconds
void summarise(RunReport& report, double work);

} // namespace cleave
