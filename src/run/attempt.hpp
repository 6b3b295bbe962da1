/// @file
/// One launch of a run that others may go on with: what it says of itself.
#pragma once

#include "cleave/checkpoint.hpp"
#include "cleave/layout.hpp"
#include "cleave/run.hpp"

#include <string>

namespace cleave {

/// What decides the bytes of the answer: what a checkpoint must have been made with. Local.
[[nodiscard]] Facts facts_of_answer(const Plan& plan, const Workload& workload,
                                    const Values& values, const std::string& simd,
                                    const std::string& inputs);

/// Where and how this launch runs, for people. Local.
[[nodiscard]] Facts about_attempt(const Layout& layout);

/// What a timings file says of the launches that its run took: `attempt`, its number; `attempts`,
/// those before it, as JSON; `lost_s`, seconds between the last that each of them kept and the
/// beginning of the next, waiting in a queue included. Root.
[[nodiscard]] Facts attempt_facts(const Checkpoint& checkpoint);

} // namespace cleave
