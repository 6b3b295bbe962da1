// As many Comms, one after the other, as MPI has communicators.
#include "cleave/comm.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

namespace cleave {
namespace {

TEST(Comm, GivesItsCommunicatorsBack) {
  // Open MPI has 65,536 of them: one kept back by each Comm would be one too many. One rank makes
  // them fast enough to try them all.
  const int size = Comm(MPI_COMM_WORLD).size();
  const int comms = size == 1 ? 66'000 : 500;
  for (int made = 0; made < comms; ++made)
    EXPECT_EQ(Comm(MPI_COMM_WORLD).size(), size);
}

} // namespace
} // namespace cleave
