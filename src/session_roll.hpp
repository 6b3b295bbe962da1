/// @file
/// Before a communicator is made, and before MPI ends, every rank says which: else ranks of which
/// one makes what another does not would wait for each other for ever, and in silence.
#pragma once

#include <mpi.h>

#include <chrono>
#include <functional>
#include <optional>

namespace cleave {

/// What a rank is about to do.
enum class Intent { make_comm, end_mpi };

/// All ranks of `comm` say what they are about to do; a rank that waits long sleeps. Collective.
/// @param waits called now and then with the time waited so far
/// @return the highest rank that ends MPI, where another makes a communicator
std::optional<int> call_roll(MPI_Comm comm, Intent intent,
                             const std::function<void(std::chrono::duration<double>)>& waits);

} // namespace cleave
