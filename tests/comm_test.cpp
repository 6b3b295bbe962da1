// Comm over MPI.
#include "cleave/pool.hpp"
#include "comm_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <thread>

namespace cleave {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

CommOptions with(std::int64_t limit, int ranks_per_node) {
  CommOptions options;
  options.message_limit = limit;
  options.ranks_per_node = ranks_per_node;
  return options;
}

TEST(Comm, KeepsItsPromises) {
  cleave::testing::check_comm(Comm(MPI_COMM_WORLD));
}

TEST(Comm, KeepsItsPromisesInSmallMessages) {
  for (const int ranks_per_node : {0, 1, 2}) {
    SCOPED_TRACE(ranks_per_node);
    cleave::testing::check_comm(Comm(MPI_COMM_WORLD, with(1024, ranks_per_node)));
  }
}

TEST(Comm, KeepsItsPromisesInMessagesOfOneByte) {
  const Comm comm(MPI_COMM_WORLD, with(1, 0));
  cleave::testing::check_broadcasts_and_all_gathers(comm);
  cleave::testing::check_pieces(comm);
  cleave::testing::check_blobs(comm);
}

TEST(Comm, IsMadeOfAnyCommunicator) {
  // Odd ranks apart from even ones, in reverse.
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
  {
    const Comm comm(half, with(1024, 0));
    MPI_Comm_free(&half); // the Comm has its own
    cleave::testing::check_comm(comm);
  }
}

/// What ranks are told when they meet without `leaver`.
std::string told_without(int leaver, const Comm& comm) {
  if (comm.rank() == leaver) {
    comm.leave("it has had enough");
    return {};
  }
  try {
    comm.barrier();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::lost_peer);
    return error.what();
  }
  return {};
}

TEST(Comm, TellsTheOthersWhenARankLeaves) {
  const Comm all(MPI_COMM_WORLD);
  for (const int ranks_per_node : {0, 1, 2})
    for (const int leaver : {0, all.size() - 1}) {
      SCOPED_TRACE(ranks_per_node);
      all.barrier();
      const auto begin = std::chrono::steady_clock::now();
      const Comm comm(MPI_COMM_WORLD, with(1024, ranks_per_node));
      const std::string told = told_without(leaver, comm);
      EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
      const std::string name = "rank " + std::to_string(leaver);
      EXPECT_TRUE(comm.rank() == leaver ||
                  (told.starts_with(name) && told.ends_with("has had enough")))
          << told;
      all.barrier(); // the one who left has not left this one
    }
}

TEST(Comm, TellsALeaderThatWaitsForItsOwnNode) {
  const Comm all(MPI_COMM_WORLD);
  const Comm comm(MPI_COMM_WORLD, with(1024, 2));
  const bool late = all.rank() == 3; // comes when the others have been told
  if (late)
    all.barrier();
  EXPECT_TRUE(told_without(0, comm).starts_with(comm.is_root() ? "" : "rank 0"));
  if (!late)
    all.barrier();
}

TEST(Comm, EndsTheRoundThatALeaverTookPartIn) {
  for (int time = 0; time < 50; ++time) {
    const Comm comm(MPI_COMM_WORLD, with(1024, 1));
    EXPECT_NO_THROW(comm.barrier());
    comm.leave("everybody leaves at once");
  }
}

TEST(Comm, TellsTheOthersThatWaitForAMessage) {
  const Comm comm(MPI_COMM_WORLD, with(1024, 0));
  const auto blob = [&](int) -> std::vector<std::byte> { throw std::runtime_error("no blob"); };
  std::string told;
  if (comm.is_root()) {
    try {
      (void)comm.scatter_blobs(blob);
      EXPECT_EQ(comm.size(), 1);
    } catch (const std::runtime_error&) {
      comm.leave("it found no blob");
    }
    return;
  }
  try {
    (void)comm.scatter_blobs(blob);
  } catch (const Error& error) {
    told = error.what();
  }
  EXPECT_THAT(told, AllOf(HasSubstr("rank 0"), HasSubstr("no blob")));
}

} // namespace
} // namespace cleave
