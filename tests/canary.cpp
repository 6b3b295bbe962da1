/// @file
/// Tests that must fail: they show that the MPI test main reports a failure on any rank and cuts a
/// hang. tests/CMakeLists.txt runs each alone and expects the failure.

#include <gtest/gtest.h>
#include <mpi.h>

#include <stdexcept>

namespace {

int rank() {
  int value = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &value);
  return value;
}

TEST(Canary, fails_on_rank_1) {
  EXPECT_NE(rank(), 1) << "only rank 1 sees this";
}

TEST(Canary, throws_on_rank_1) {
  if (rank() == 1)
    throw std::runtime_error("thrown on rank 1");
}

TEST(Canary, hangs) {
  if (rank() == 0)
    MPI_Recv(nullptr, 0, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

// What an ASSERT_ on one rank does.
TEST(Canary, leaves) {
  if (rank() == 0)
    MPI_Barrier(MPI_COMM_WORLD);
}

} // namespace
