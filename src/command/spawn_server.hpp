/// @file
/// The process that starts commands for this one: forked before MPI begins, so that neither MPI
/// nor a large memory is ever forked. It ends with this process, however that ends, and ends the
/// commands that run then.
#pragma once

#include "../handle.hpp"
#include "spawn.hpp"

#include <sys/types.h>

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace cleave::command {

/// Where a worker's commands run, and what they are told.
struct WorkerPlace {
  std::vector<int> cpus;                ///< ascending; empty: as this process
  std::vector<std::string> environment; ///< "NAME=value", beside those that are the user's
};

/// A worker's way to the spawn server: one command at a time. When it ends, the command that runs
/// is ended. Not thread-safe.
class SpawnLine {
public:
  explicit SpawnLine(Descriptor socket) noexcept : socket_(std::move(socket)) {}
  /// Runs a packed SpawnOrder to its end, retries included. @return a packed SpawnReport
  /// @throws Error failed_task when the spawn server has gone
  [[nodiscard]] std::vector<std::byte> run(std::span<const std::byte> order);

private:
  Descriptor socket_;
};

/// The one spawn server of this process.
class SpawnServer {
public:
  /// Forks it at the first call, which should be made before MPI_Init and by the main thread.
  /// Local, thread-safe. @throws Error io when the system refuses
  static SpawnServer& of_this_process();

  SpawnServer(const SpawnServer&) = delete;
  SpawnServer& operator=(const SpawnServer&) = delete;

  /// The places of a rank's workers, by thread, from now on. Thread-safe.
  void set_places(int rank, std::vector<WorkerPlace> places);
  /// A new line for this worker. Thread-safe. @throws Error failed_task when the server has gone
  [[nodiscard]] SpawnLine connect(int rank, int thread);

private:
  SpawnServer();

  Descriptor control_;
  std::mutex mutex_;
  std::map<int, std::vector<WorkerPlace>> places_; // by rank: threads of a process may be ranks
};

/// What the server's process does: serves lines, each by a thread, until `control` has lost its
/// other end.
void serve_spawns(int control, pid_t parent);

} // namespace cleave::command
