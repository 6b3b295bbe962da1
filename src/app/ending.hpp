/// @file
/// How all ranks end together: one message from one rank, one status, and nobody left waiting.
#pragma once

#include "cleave/error.hpp"

#include <functional>
#include <optional>

namespace cleave::app {

/// How one rank's work ended.
struct Ending {
  int status = 0;
  std::optional<Error> error; ///< that nobody has told the user yet
};

/// All ranks meet and one of them tells: the lowest whose error is its own, not "another has left".
/// A rank with an error that the others do not come to meet within 3 s tells it and aborts the job.
/// Waits asleep. Collective over MPI_COMM_WORLD.
/// @param tell prints an error; `rank` says whose it is when not all ranks failed alike
/// @return the exit status, the same on every rank when one has an error
[[nodiscard]] int end_together(const Ending& mine,
                               const std::function<void(const Error&, int rank)>& tell);

/// Lets std::terminate say which rank it was and why, and end the whole job.
void tell_before_terminating();

} // namespace cleave::app
