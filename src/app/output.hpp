/// @file
/// What reaches the user: answers on standard output, none of which is lost silently, and failures
/// on standard error.
#pragma once

#include "cleave/error.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace cleave::app {

/// Occupies those of the three standard streams that the user closed, so that no file of ours gets
/// their numbers and is printed into. Call it first. Local.
void hold_standard_streams() noexcept;

/// Makes a reader that has gone, and a file that has reached the size limit of the shell, failures
/// to write like any other instead of the death of this process. Local.
void take_lost_output_for_errors() noexcept;

/// Refuses a standard output that was closed, before anything is computed for it. Local.
/// @throws Error io
void require_output();

/// Prints at once. Local. @return an io error when any of it, or of what came before, is lost
[[nodiscard]] std::optional<Error> print(const std::string& text);

/// Prints at once what is neither answer nor message: as it is, to standard output or, for `error`,
/// to standard error. Local. @return an io error when any of it is lost
[[nodiscard]] std::optional<Error> print_output(std::string_view text, bool error);

/// The same as print(). @throws Error io
void say(const std::string& text);

/// Tells a failure in a line on standard error. Local.
/// @param json print it as an object too, unless printing is what failed
/// @param rank told when not negative
void tell(const Error& error, bool json, int rank = -1);

} // namespace cleave::app
