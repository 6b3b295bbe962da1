#include "cleave/session.hpp"

#include "cleave/error.hpp"
#include "session_roll.hpp"

#include <mpi.h>

#include <cstdlib>
#include <exception>
#include <string>

namespace cleave {
namespace {

void refuse_singletons() {
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  if (tasks != nullptr && singletons_suspected())
    throw Error(ErrorKind::bad_input,
                "srun started " + std::string(tasks) +
                    " copies of this program that MPI cannot join into one job; start it with "
                    "srun --mpi=pmix, or with mpirun");
}

void require_serialized(int provided) {
  if (provided < MPI_THREAD_SERIALIZED)
    throw Error(ErrorKind::lost_peer,
                "MPI gives less than MPI_THREAD_SERIALIZED; initialise it with that level, or use "
                "an MPI library that is built with thread support");
}

bool finalized() {
  int flag = 0;
  MPI_Finalized(&flag);
  return flag != 0;
}

bool initialized() {
  int flag = 0;
  MPI_Initialized(&flag);
  return flag != 0;
}

// Returns whether MPI was begun here, and so is ours to end.
bool begin(int* argc, char*** argv) {
  if (finalized())
    throw Error(ErrorKind::lost_peer,
                "MPI has already ended in this program and cannot begin again; keep one Session "
                "for the whole of main");
  int provided = MPI_THREAD_SINGLE;
  const bool adopted = initialized();
  if (adopted) {
    MPI_Query_thread(&provided);
  } else {
    refuse_singletons();
    MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided);
  }
  require_serialized(provided);
  return !adopted;
}

} // namespace

bool singletons_suspected() {
  const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  const bool several = tasks != nullptr && std::strtol(tasks, nullptr, 10) > 1;
  return several && std::getenv("PMIX_NAMESPACE") == nullptr &&
         std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr;
}

Session::Session() : owner_(begin(nullptr, nullptr)), exceptions_(std::uncaught_exceptions()) {}

Session::Session(int& argc, char**& argv)
    : owner_(begin(&argc, &argv)), exceptions_(std::uncaught_exceptions()) {}

Session::~Session() {
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  if (!owner_ || unwinding || finalized())
    return;
  // Those who still make a communicator learn that this rank does not, and end in their turn.
  while (call_roll(MPI_COMM_WORLD, Intent::end_mpi, [](auto) {}))
    ;
  MPI_Finalize();
}

} // namespace cleave
