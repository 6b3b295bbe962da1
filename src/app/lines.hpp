/// @file
/// The lines of a report on a terminal, and of progress.
#pragma once

#include <cstddef>
#include <string>

namespace cleave::app {

/// Where the text of a labelled line begins.
inline constexpr std::size_t label_width = 11;

/// "label      text\n".
[[nodiscard]] std::string line(const std::string& label, const std::string& text);

/// To standard error, and no matter if nobody hears it: fmt::print would throw into the work.
void mutter(const std::string& text) noexcept;

} // namespace cleave::app
