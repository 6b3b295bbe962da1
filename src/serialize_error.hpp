/// @file
/// An Error as bytes, so that a rank can throw what another has caught.
#pragma once

#include "cleave/error.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace cleave {

/// Kind, message and place; never empty. Local, thread-safe.
[[nodiscard]] std::vector<std::byte> packed(const Error& error);

/// The Error that packed() was given. Local, thread-safe.
[[nodiscard]] Error unpacked_error(std::span<const std::byte> bytes);

} // namespace cleave
