/// @file
/// What every Comm must do, whether its ranks are processes of MPI or threads of one process.
/// Collective; only EXPECT_, so that no rank leaves the others waiting.
#pragma once

#include "cleave/comm.hpp"

#include <functional>

namespace cleave::testing {

/// Rank, size, nodes, neighbours and names fit together.
void check_places(const Comm& comm);
void check_agreement(const Comm& comm);
void check_broadcasts_and_all_gathers(const Comm& comm);
/// scatterv and gatherv over parts of every kind, from every root.
void check_parts(const Comm& comm);
/// Several pieces a rank.
void check_pieces(const Comm& comm);
/// Parts outside root's array are refused on every rank, and the Comm goes on.
void check_refusals(const Comm& comm);
/// Types that are not trivially copyable travel as blobs.
void check_blobs(const Comm& comm);
void check_windows(const Comm& comm);
void check_clock(const Comm& comm);

/// All of the above.
void check_comm(const Comm& comm);

/// Seconds of CPU time of this process so far.
[[nodiscard]] double cpu_seconds();
/// wait(), which waits for 2 s, must cost each rank under 40 ms of processor time. Collective.
void check_sleeps(const Comm& comm, const std::function<void()>& wait);

} // namespace cleave::testing
