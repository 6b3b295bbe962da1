/// @file
/// Values of a TOML file as the texts that Values validates, and what is wrong with their types.
#pragma once

#include "cleave/error.hpp"
#include "cleave/workload.hpp"

#include <toml++/toml.h>

#include <string>

namespace cleave {

/// Where a value stands. Local, thread-safe, as all below.
[[nodiscard]] ErrorPlace toml_place(const toml::node& node, const std::string& key,
                                    const std::string& file);

/// "must be RIGHT, not WHAT IT IS".
[[nodiscard]] Error wrong_toml_type(const ErrorPlace& place, const std::string& right,
                                    const toml::node& node);

/// A number as people write it, to be read back without loss. @pre node.is_number()
[[nodiscard]] std::string toml_number(const toml::node& node);

/// The text of a value for this parameter. TOML has types of its own: a number in quotes is a slip.
/// @throws Error bad_input for a value of the wrong type
[[nodiscard]] std::string toml_text(const toml::node& node, const Parameter& parameter,
                                    const std::string& file);

} // namespace cleave
