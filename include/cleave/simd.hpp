/// @file
/// Which instruction set the vectorised kernels of this process use, and how all ranks come to use
/// the same one: only then is a result the same bits wherever its parts were computed.
///
/// Kernels that dispatch at run time through Google Highway obey what is set here. The setting
/// lives in libhwy and is one for the whole process: set it before the first kernel runs, from one
/// thread.
#pragma once

#include "cleave/comm.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace cleave {

/// Names of the instruction sets that kernels may use now, the best first, as Highway spells them:
/// AVX3 (AVX-512), AVX2, SSE4, SSSE3, SCALAR (what the compiler's baseline has). What limit_target
/// and agree_on_target excluded is not among them. Local.
[[nodiscard]] std::vector<std::string> simd_targets();

/// Lets the kernels of this process use nothing better than the instruction set `name`; replaces
/// any limit or agreement before. Empty: no limit. Local.
/// @throws Error bad_input that lists the instruction sets of this machine; no limit is left then
void limit_target(std::string_view name);

/// Lets the kernels of every rank use only instruction sets that all ranks have, and none better
/// than `limit` where that is given; a limit_target before stays. Collective, one all_gather.
/// @return the name of the best one, the same on every rank
/// @throws Error bad_input on every rank when `limit` is not among the shared ones, which it lists
std::string agree_on_target(const Comm& comm, std::string_view limit = {});

} // namespace cleave
