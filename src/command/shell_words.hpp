/// @file
/// A command line taken apart into words, and put together again, by the quoting of the shell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cleave::command {

/// The words of a line by the quoting of POSIX (XCU 2.2): single quotes, double quotes, backslash.
/// Nothing is expanded. Local, thread-safe.
/// @throws Error bad_input, without a place, for an unbalanced quote, a backslash at the end, a NUL
///         character, or an unquoted word such as `|` or `>` that only a shell could act on
[[nodiscard]] std::vector<std::string> shell_words(std::string_view line);

/// The word as a shell would read it back: in single quotes where it needs them. Local,
/// thread-safe.
[[nodiscard]] std::string shell_quoted(std::string_view word);

/// The words with a blank between them, each shell_quoted(). Local, thread-safe.
[[nodiscard]] std::string shell_line(const std::vector<std::string>& words);

} // namespace cleave::command
