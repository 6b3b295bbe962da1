/// @file
/// A rank that waits for a debugger.
#pragma once

#include "cleave/comm.hpp"

namespace cleave::app {

/// Where this rank is `rank`: says on standard error how to attach a debugger, and waits until it
/// has set cleave_attached. The others go on, and wait asleep where they need it.
/// @throws Error bad_input on every rank when there is no such rank
void wait_for_debugger(const Comm& comm, int rank);

} // namespace cleave::app
