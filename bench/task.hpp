/// @file
/// The task of the Pool's benches, in a source of its own so that no side inlines it.
#pragma once

#include <cstdint>

namespace bench {

/// A task of about a nanosecond.
[[nodiscard]] double cheap(double x) noexcept;

/// A task of `steps` dependent multiplications, about 1.5 ns each; its value depends on all of
/// them. It begins when all that came before is done: in a bare loop the processor would else
/// compute the end of each task and the beginning of the next at once, some 0.1 us of them, and no
/// task would take the time that it is said to take.
[[nodiscard]] double steps(std::int64_t index, std::int64_t steps) noexcept;

/// Nanoseconds of one such step here: the shortest of several looks, which nobody disturbed.
[[nodiscard]] double measured_ns_a_step();

} // namespace bench
