/// @file
/// A program that begins and ends MPI: what bench/startup compares the start of `cleave run` with.
#include <mpi.h>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  return MPI_Finalize();
}
