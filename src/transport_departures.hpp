/// @file
/// What the leaders of nodes tell each other about ranks that have left.
#pragma once

#include "meeting.hpp"

#include <mpi.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace cleave {

/// The departures from one Comm over several nodes, by messages that nobody waits for: a leader
/// tells all others what its node knows, and its node what others tell. What is told of a Comm that
/// has ended elsewhere is never received, so all Comms of a parent share a communicator that lives
/// as long as the parent: freed, its number would be given to another, which such a message breaks.
class Departures {
public:
  /// Those of the next Comm of `parent`. Collective over it.
  /// @param nodes of each rank
  Departures(MPI_Comm parent, const std::vector<int>& nodes);
  /// Not a copy: those of the next Comm of the same parent. Collective.
  Departures(const Departures& other);
  Departures& operator=(const Departures&) = delete;
  ~Departures() = default;

  /// Tells, and is told. Best effort; for a thread of the leader, or of who tells in its stead once
  /// its process has ended, while no other makes calls on MPI.
  void exchange(Meeting& meeting) noexcept;

private:
  struct Post;
  [[nodiscard]] static std::shared_ptr<Post> post_of(MPI_Comm parent);
  void connect() const;
  void tell(const Departure& departure);
  static void deliver(std::vector<MPI_Request>& requests);
  [[nodiscard]] int rank() const;
  void listen(Meeting& meeting);

  std::shared_ptr<Post> post_;
  std::uint64_t number_; // of the Comm, among those of its parent
  std::vector<int> leaders_;
  int own_leader_ = 0;                                             // of this rank's node
  std::uint32_t told_ = std::numeric_limits<std::uint32_t>::max(); // the first round missed
  std::chrono::steady_clock::time_point listened_{};
};

} // namespace cleave
