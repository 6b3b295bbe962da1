/// @file
/// A comparison for people and for programs.
#pragma once

#include "cleave/compare.hpp"

#include <string>

namespace cleave::app {

/// For a terminal.
[[nodiscard]] std::string comparison_text(const Comparison& comparison, double threshold);
/// For a page, such as the comment of a merge request.
[[nodiscard]] std::string comparison_markdown(const Comparison& comparison, double threshold);
/// One JSON object.
[[nodiscard]] std::string comparison_json(const Comparison& comparison, double threshold);

} // namespace cleave::app
