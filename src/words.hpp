/// @file
/// Words of error messages: what a mistyped name may have meant, lists of known names, exceptions.
#pragma once

#include "cleave/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// `"text"`. Local, thread-safe.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "a, b, c". Local, thread-safe.
[[nodiscard]] std::string join(const std::vector<std::string>& names,
                               std::string_view between = ", ");

/// The text with A to Z as a to z. Local, thread-safe.
[[nodiscard]] std::string lower_case(std::string_view text);

/// The name that is nearest to `unknown` and differs from it by at most a third of its letters and
/// one; empty when none does. Local, thread-safe, O(names x letters^2).
[[nodiscard]] std::string nearest(std::string_view unknown, const std::vector<std::string>& names);

/// The name of a symbol or type as people write it. Local, thread-safe.
[[nodiscard]] std::string demangled(const char* name);

/// What an exception says of itself.
struct Thrown {
  std::string type;
  std::string what; ///< empty for what is no std::exception
};
/// Of the exception that is being handled. Local, thread-safe.
[[nodiscard]] Thrown current_exception_words();

/// The exception that is being handled as the Error that it is told as. A name that the file system
/// cannot look up, as it is too long or lies where this user may not look, is bad input. Local,
/// thread-safe.
[[nodiscard]] Error current_error();

/// `unknown WHAT "X"; did you mean "Y"? known: ...`. Local, thread-safe.
[[nodiscard]] std::string unknown_name(std::string_view what, std::string_view unknown,
                                       const std::vector<std::string>& names);

} // namespace cleave
