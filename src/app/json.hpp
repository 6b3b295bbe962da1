/// @file
/// What programs read: one JSON object on standard output.
#pragma once

#include "cleave/layout.hpp"
#include "cleave/run.hpp"

#include <string>

namespace cleave::app {

/// A run's report, of the same keys for every run; a dry run has the first of them, up to `files`.
/// `error` is added when something failed after the work.
[[nodiscard]] std::string report_json(const RunReport& report);

/// {"error": {kind, message, file, line, key}}; null for what is not known.
[[nodiscard]] std::string error_json(const Error& error);

/// Nodes, ranks and findings. @param data_path added when not empty
[[nodiscard]] std::string layout_json(const Layout& layout, const std::string& data_path,
                                      const Circumstances& circumstances);

} // namespace cleave::app
