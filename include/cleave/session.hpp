/// @file
/// MPI's beginning and end as one object.
#pragma once

namespace cleave {

/// RAII MPI_Init_thread and MPI_Finalize: the outermost object of main, made before any HDF5 call
/// and outliving every communicator. Collective over the job. Not copyable, not movable.
///
/// Its end waits for the other ranks', as MPI_Finalize does. Where they make a Comm or a Pool that
/// this rank has not made, they are told: theirs throw Error lost_peer.
///
/// While an exception unwinds through it, it does not finalise: a rank that finalises alone hangs
/// the others (MPI 3.1, 8.7); leaving main without it makes mpirun end the job.
class Session {
public:
  /// Begins MPI, or adopts one that is already running and leaves its end to whoever began it.
  /// @throws Error bad_input when this process is one of N singletons (srun without --mpi=pmix),
  ///         told before MPI_Init; lost_peer when MPI gives less than MPI_THREAD_SERIALIZED or has
  ///         already ended
  Session();
  /// The same for an MPI that wants to see the program's arguments.
  Session(int& argc, char**& argv);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  ~Session();

private:
  bool owner_ = false; // another part of the program may have initialised MPI
  int exceptions_ = 0; // uncaught exceptions when we began
};

/// Whether the environment says that the launcher started several copies that MPI would not join
/// (SLURM_STEP_NUM_TASKS > 1 with neither PMIX_NAMESPACE nor OMPI_COMM_WORLD_SIZE). Local.
[[nodiscard]] bool singletons_suspected();

} // namespace cleave
