/// @file
/// The task of the Pool's benches, in a source of its own so that no side inlines it.
#pragma once

#include <cstdint>

namespace bench {

/// A task of about a nanosecond.
[[nodiscard]] double cheap(double x) noexcept;

/// A task of `steps` dependent multiplications, about 1.5 ns each; its value depends on all of
/// them.
[[nodiscard]] double steps(std::int64_t index, std::int64_t steps) noexcept;

} // namespace bench
