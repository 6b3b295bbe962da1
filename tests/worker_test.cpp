#include "cleave/worker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace cleave {
namespace {

using Words = std::array<std::uint32_t, 4>;

Words first_words(RandomStream stream) {
  const std::uint64_t a = stream();
  const std::uint64_t b = stream();
  return {static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32),
          static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32)};
}

// Philox4x32-10 written out after Salmon et al., SC'11, section 3.3, to check the stream's use of
// the library.
Words philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// kat_vectors of Random123 1.14: philox4x32 10.
TEST(RandomStream, GivesTheKnownAnswer) {
  const Words zeros{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  EXPECT_EQ(first_words(RandomStream(0, 0, 0)), zeros);
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), zeros);
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, IsKeyedBySeedCallAndTask) {
  RandomStream stream(0x299f31d0a4093822, 0x85a308d3, 0x0370734413198a2e);
  for (std::uint32_t block = 0; block < 100; ++block) {
    const Words expected =
        philox({block, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
    EXPECT_EQ(stream(), std::uint64_t{expected[1]} << 32 | expected[0]);
    EXPECT_EQ(stream(), std::uint64_t{expected[3]} << 32 | expected[2]);
  }
}

TEST(RandomStream, SharesNoNumberBetweenCallsAndTasks) {
  std::set<std::uint64_t> seen;
  std::size_t drawn = 0;
  for (const std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32})
    for (const std::uint32_t call : {0U, 1U, 2U, ~0U})
      for (const std::uint64_t task : {0ULL, 1ULL, 2ULL, 1ULL << 32, ~0ULL}) {
        RandomStream stream(seed, call, task);
        for (int i = 0; i < 200; ++i, ++drawn)
          seen.insert(stream());
      }
  EXPECT_EQ(seen.size(), drawn); // 12,000 of 2^64: a chance of 4e-12 to meet by accident
}

TEST(RandomStream, IsUniformInTheHalfOpenUnitInterval) {
  RandomStream stream(1, 2, 3);
  const int n = 200'000;
  std::array<int, 10> counts{};
  double lowest = 1;
  double highest = 0;
  for (int i = 0; i < n; ++i) {
    const double x = stream.uniform();
    lowest = std::min(lowest, x);
    highest = std::max(highest, x);
    ++counts.at(static_cast<std::size_t>(x * 10));
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(highest, 1);
  EXPECT_LT(lowest, 1e-4);
  EXPECT_GT(highest, 1 - 1e-4);
  double chi_square = 0;
  for (const int count : counts)
    chi_square += (count - n / 10.0) * (count - n / 10.0) / (n / 10.0);
  EXPECT_LT(chi_square, 27.9); // 9 degrees of freedom, p = 0.001; the numbers never change
}

TEST(RandomStream, ServesTheStandardDistributions) {
  static_assert(std::uniform_random_bit_generator<RandomStream>);
  RandomStream stream(1, 2, 3);
  EXPECT_GE(std::uniform_int_distribution(3, 5)(stream), 3);
}

TEST(Worker, BeginsTheStreamOfItsTaskAnew) {
  Worker worker(1, 2, 7);
  worker.begin_call(11, 5);
  worker.begin_task(42);
  EXPECT_EQ(worker.random()(), RandomStream(11, 5, 42)());
  EXPECT_EQ(worker.random()(), RandomStream(11, 5, 42)());
  worker.begin_task(43);
  EXPECT_EQ(worker.random()(), RandomStream(11, 5, 43)());
}

TEST(Worker, KnowsItsPlace) {
  const Worker worker(1, 2, 7);
  EXPECT_EQ(worker.rank(), 1);
  EXPECT_EQ(worker.thread(), 2);
  EXPECT_EQ(worker.index(), 7);
}

struct Model {
  Model(int s, int& made) : size(s) { ++made; }
  int size;
};

TEST(Worker, MakesLocalStateOnceAType) {
  Worker worker(0, 0, 0);
  int made = 0;
  Model& model = worker.local<Model>(3, made);
  EXPECT_EQ(&worker.local<Model>(9, made), &model);
  EXPECT_EQ(model.size, 3);
  EXPECT_EQ(made, 1);
  worker.local<std::vector<int>>().push_back(1);
  EXPECT_EQ(worker.local<std::vector<int>>().size(), 1U);
  EXPECT_TRUE(worker.local<std::string>().empty());
  Worker other(0, 1, 1);
  EXPECT_NE(&other.local<Model>(4, made), &model);
  EXPECT_EQ(made, 2);
}

TEST(Worker, HearsThatItsCallHasFailed) {
  Worker worker(0, 0, 0);
  EXPECT_FALSE(worker.stop_requested());
  std::atomic<std::uint32_t> failed{4};
  worker.begin_call(0, 2, {.last = &failed, .own = 5});
  EXPECT_FALSE(worker.stop_requested()); // that was the call before
  failed = 5;
  EXPECT_TRUE(worker.stop_requested());
}

} // namespace
} // namespace cleave
