// Limits and agreement on instruction sets. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/session.hpp"
#include "cleave/simd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <string>
#include <vector>

namespace cleave {
namespace {

using ::testing::HasSubstr;

// Every test begins and ends without a limit: the setting is the process's.
class Simd : public ::testing::Test {
protected:
  void SetUp() override { limit_target({}); }
  void TearDown() override { limit_target({}); }

  const Comm comm_{MPI_COMM_WORLD};
  const std::vector<std::string> all_ = simd_targets();
};

TEST_F(Simd, ALimitLeavesItselfAndWorse) {
  for (std::size_t k = 0; k < all_.size(); ++k) {
    limit_target(all_[k]);
    EXPECT_EQ(simd_targets(),
              std::vector(all_.begin() + static_cast<std::ptrdiff_t>(k), all_.end()));
  }
}

TEST_F(Simd, ALimitReplacesTheOneBefore) {
  limit_target(all_.back());
  EXPECT_EQ(simd_targets().size(), 1);
  limit_target(all_.front());
  EXPECT_EQ(simd_targets(), all_);
}

TEST_F(Simd, AnUnknownNameIsRefusedWithTheKnownOnes) {
  for (const std::string name : {"AVX9", "avx2", " ", "AVX2,SSE4"})
    try {
      limit_target(name);
      ADD_FAILURE() << "accepted " << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_THAT(error.what(), HasSubstr(name));
      for (const std::string& known : all_)
        EXPECT_THAT(error.what(), HasSubstr(known));
    }
}

TEST_F(Simd, EqualRanksAgreeOnTheBest) {
  EXPECT_EQ(agree_on_target(comm_), all_.front());
  EXPECT_EQ(simd_targets(), all_);
}

TEST_F(Simd, TheWeakestRankDecides) {
  if (comm_.rank() == comm_.size() - 1)
    limit_target(all_.back());
  EXPECT_EQ(agree_on_target(comm_), all_.back());
  EXPECT_EQ(simd_targets(), std::vector{all_.back()});
}

TEST_F(Simd, AgreementTakesALimit) {
  for (const std::string& name : all_) {
    limit_target({});
    EXPECT_EQ(agree_on_target(comm_, name), name);
    EXPECT_EQ(simd_targets().front(), name);
  }
}

TEST_F(Simd, ALimitThatOneRankCannotKeepIsRefusedByAll) {
  if (all_.size() < 2)
    GTEST_SKIP() << "one instruction set alone";
  if (comm_.rank() == comm_.size() - 1)
    limit_target(all_.back());
  EXPECT_THROW(agree_on_target(comm_, all_.front()), Error);
}

TEST_F(Simd, RanksOfOneProcessAgree) {
  Comm::in_process(3, [&](Comm& comm) {
    EXPECT_EQ(agree_on_target(comm, all_.back()), all_.back());
    EXPECT_EQ(simd_targets(), std::vector{all_.back()});
  });
}

} // namespace
} // namespace cleave
