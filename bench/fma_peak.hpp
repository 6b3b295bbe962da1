/// @file
/// What a core can do at most in double precision: the bound that kernels are compared with.
#pragma once

#include <cstdint>

namespace bench {

/// Runs `turns` x fma_count() independent fused multiply-adds (or as many multiplications and
/// additions where there are none) of registers alone, with the instruction set in use. Returns
/// something that depends on all.
double chained_fmas(std::int64_t turns);

/// Numbers that chained_fmas multiplies and adds a turn.
std::int64_t fma_count();

} // namespace bench
