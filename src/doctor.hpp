/// @file
/// What the parts of the doctor share.
#pragma once

#include "cleave/layout.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cleave::doctor {

/// "1 core", "2 cores".
[[nodiscard]] std::string counted(std::int64_t count, const std::string& noun);

/// The command that starts `per_node` ranks of `threads` workers on each of `nodes` nodes, bound,
/// by the launcher that has started this layout.
[[nodiscard]] std::string launch_line(const Layout& layout, int nodes, int per_node, int threads);

/// What is odd about a layout within the Slurm job around it.
void find_in_slurm(const Layout& layout, const Circumstances& circumstances,
                   std::vector<Finding>& found);

} // namespace cleave::doctor
