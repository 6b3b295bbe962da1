// session_probe MODE: one way of beginning and ending MPI each. Prints "as expected" or says what
// went wrong and returns 1.
#include "cleave/comm.hpp"
#include "cleave/error.hpp"
#include "cleave/session.hpp"

#include <mpi.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

int flag(int (*ask)(int*)) {
  int value = 0;
  ask(&value);
  return value;
}

int report(bool expected) {
  std::puts(expected ? "as expected" : "NOT as expected");
  return expected ? 0 : 1;
}

int begins_and_ends(int argc, char** argv) {
  bool serialized = false;
  {
    const cleave::Session session(argc, argv);
    int level = 0;
    MPI_Query_thread(&level);
    serialized = level >= MPI_THREAD_SERIALIZED;
  }
  return report(serialized && flag(MPI_Finalized) != 0);
}

int adopts() {
  int level = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
  { const cleave::Session session; }
  const bool left_alone = flag(MPI_Finalized) == 0;
  MPI_Finalize();
  return report(left_alone);
}

int refuses_a_second_beginning() {
  { const cleave::Session first; }
  try {
    const cleave::Session second;
  } catch (const cleave::Error& error) {
    return report(error.kind() == cleave::ErrorKind::lost_peer);
  }
  return report(false);
}

int nested() {
  const cleave::Session outer;
  { const cleave::Session inner; }
  return report(flag(MPI_Finalized) == 0);
}

/// Rank 1 alone throws through its Session. Were it to finalise, it would wait for the others for
/// ever; as it is, mpirun ends the job.
int throws_on_rank_1() {
  try {
    const cleave::Session session;
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 1)
      throw std::runtime_error("rank 1 gives up");
    MPI_Barrier(MPI_COMM_WORLD);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s, MPI %s\n", error.what(),
                 flag(MPI_Finalized) != 0 ? "finalised" : "not finalised");
  }
  return 3;
}

/// Rank 1 ends without a Comm that rank 0 makes.
int makes_no_comm_on_rank_1() {
  const cleave::Session session;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 1)
    return report(true);
  for (int time = 0; time < 2; ++time) // again and again
    try {
      const cleave::Comm comm(session);
      return report(false);
    } catch (const cleave::Error& error) {
      if (error.kind() != cleave::ErrorKind::lost_peer ||
          std::strstr(error.what(), "rank 1 has ended MPI") == nullptr)
        return report(false);
    }
  return report(true);
}

/// Rank 0 tells that it waits for a Comm that rank 1 makes late.
int makes_a_late_comm_on_rank_1() {
  const cleave::Session session;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  int told = 0;
  cleave::CommOptions options;
  options.patience_s = 0.1;
  options.on_absent = [&told](const std::string& text) {
    told += text.find("has waited 0 s for other ranks to make their Comm") != text.npos ? 1 : 0;
  };
  const cleave::Comm comm(session, options);
  return report(rank == 1 || (told >= 1 && told <= 5));
}

} // namespace

int main(int argc, char** argv) {
  const auto is = [&](const char* mode) { return argc > 1 && std::strcmp(argv[1], mode) == 0; };
  if (is("begins_and_ends"))
    return begins_and_ends(argc, argv);
  if (is("adopts"))
    return adopts();
  if (is("refuses_a_second_beginning"))
    return refuses_a_second_beginning();
  if (is("nested"))
    return nested();
  if (is("makes_no_comm_on_rank_1"))
    return makes_no_comm_on_rank_1();
  if (is("makes_a_late_comm_on_rank_1"))
    return makes_a_late_comm_on_rank_1();
  if (is("throws_on_rank_1"))
    return throws_on_rank_1();
  return report(false);
}
