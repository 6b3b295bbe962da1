// The workload `primes`, by a sieve of the test's own, so that it needs no library; cli_test.py
// runs the library's. Run under mpi_main.cpp at several numbers of ranks.
#include "cleave/pool.hpp"
#include "cleave/session.hpp"
#include "cleave/workload.hpp"
#include "job_run.hpp"
#include "jobs/primes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace cleave::primes {
namespace {

using cleave::testing::bytes_of;
using cleave::testing::Given;
using cleave::testing::values_of;
using ::testing::HasSubstr;

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

// Files of the tests; root writes and reads them.
std::filesystem::path folder() {
  const char* base = std::getenv("TMPDIR");
  std::filesystem::path path = std::filesystem::path(base != nullptr ? base : "/tmp") / "primes";
  std::filesystem::create_directories(path);
  return path;
}

std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The sieve of Eratosthenes, segment by segment.
std::vector<std::uint64_t> eratosthenes(const Interval& interval) {
  std::vector<char> composite(interval.size());
  for (std::uint64_t p = 2; p * p < interval.last; ++p) {
    const std::uint64_t begin = std::max(p * p, (interval.first + p - 1) / p * p);
    for (std::uint64_t n = begin; n < interval.last; n += p)
      composite[n - interval.first] = 1;
  }
  std::vector<std::uint64_t> primes;
  for (std::uint64_t n = std::max<std::uint64_t>(interval.first, 2); n < interval.last; ++n)
    if (composite[n - interval.first] == 0)
      primes.push_back(n);
  return primes;
}
std::int64_t count(const Interval& interval) {
  return std::ssize(eratosthenes(interval));
}

std::unique_ptr<Job> prepared(Pool& pool, const Given& given,
                              const Sieve& sieve = {count, eratosthenes}) {
  const Workload workload = workload_of(sieve);
  return workload.prepare(values_of(workload, given), pool);
}

std::int64_t counted(const Job& job) {
  return std::get<std::int64_t>(job.summary().at(0).value);
}

TEST(ReadBound, IsExactTo64Bits) {
  const std::pair<const char*, std::uint64_t> right[] = {
      {"0", 0},
      {"12", 12},
      {"1e10", 10'000'000'000},
      {"1E+3", 1000},
      {"1.5e3", 1500},
      {"1.8446744073709551615e19", largest},
      {"18446744073709551615", largest},
      {"2^64-1", largest},
      {"2^63+25", (std::uint64_t{1} << 63) + 25},
      {"10^19", 10'000'000'000'000'000'000U},
      {"2^64-1e6", largest - 999'999},
      {"2^32-2^31+1", (std::uint64_t{1} << 31) + 1},
      {"0e5", 0}};
  for (const auto& [text, value] : right)
    EXPECT_EQ(read_bound(text), value) << text;
  for (const char* text : {"",
                           " ",
                           "x",
                           "-1",
                           "1.5",
                           "1.5e0",
                           "1e",
                           "1e-3",
                           "2^",
                           "^2",
                           "2^64",
                           "18446744073709551616",
                           "1e20",
                           "2^65-2^64",
                           "1-2",
                           "1+",
                           "nan",
                           "1e99999999999",
                           "2^99999999999999999999",
                           "1 000",
                           "0x10",
                           "1,000",
                           "1e3e3",
                           "99999999999999999999999999999999999999999999999999"})
    EXPECT_EQ(read_bound(text), std::nullopt) << text;
}

TEST(IsPrime, AgreesWithTheSieve) {
  std::vector<std::uint64_t> primes;
  for (std::uint64_t n = 0; n < 20'000; ++n)
    if (is_prime(n))
      primes.push_back(n);
  EXPECT_EQ(primes, eratosthenes({0, 20'000}));
  for (const std::uint64_t first : {std::uint64_t{1} << 32, std::uint64_t{999'999'000'000}}) {
    const std::vector<std::uint64_t> right = eratosthenes({first, first + 2000});
    for (std::uint64_t n = first; n < first + 2000; ++n)
      EXPECT_EQ(is_prime(n), std::ranges::binary_search(right, n)) << n;
  }
}

TEST(IsPrime, IsNotDeceived) {
  for (const std::uint64_t prime :
       {std::uint64_t{18'446'744'073'709'551'557U}, // the last of 64 bits
        std::uint64_t{4'294'967'291U}, std::uint64_t{4'294'967'311U}})
    EXPECT_TRUE(is_prime(prime)) << prime;
  // Strong pseudoprimes to many bases (OEIS A014233), a square, Carmichael numbers, 2^64 - 1.
  for (const std::uint64_t composite :
       {std::uint64_t{2047}, std::uint64_t{3'215'031'751U}, std::uint64_t{3'474'749'660'383U},
        std::uint64_t{341'550'071'728'321U}, std::uint64_t{3'825'123'056'546'413'051U},
        std::uint64_t{4'294'967'291U} * 4'294'967'291U, std::uint64_t{561}, std::uint64_t{8911},
        largest})
    EXPECT_FALSE(is_prime(composite)) << composite;
}

TEST(FarFromLi, KnowsCountsThatCannotBe) {
  std::uint64_t ten = 1;
  for (int k = 1; k <= 19; ++k) {
    ten *= 10;
    const std::int64_t known = known_count_below(ten).value_or(0);
    EXPECT_EQ(far_from_li({0, ten}, known), "") << ten;
    EXPECT_NE(far_from_li({0, ten}, known + 40 + known / 10), "") << ten;
    EXPECT_NE(far_from_li({0, ten}, known - 40 - known / 10), "") << ten;
  }
  EXPECT_EQ(known_count_below(10), 4);
  EXPECT_EQ(known_count_below(11), std::nullopt);
  EXPECT_EQ(far_from_li({0, largest}, 425'656'284'035'217'743), "");
  EXPECT_THAT(far_from_li({0, 10'000'000'000}, 455'152'511), HasSubstr("too far from li"));
}

// The pieces follow each other without gaps, whatever the interval.
TEST(PiecesTest, CoverTheInterval) {
  for (const Interval& whole : {Interval{0, 1},
                                {0, 10},
                                {5, 8192 + 6},
                                {0, 100'000'000},
                                {999, 2'000'000'001},
                                {largest - 1, largest},
                                {largest - 100'000'000'000, largest}})
    for (const bool listing : {false, true}) {
      const Pieces pieces(whole, listing);
      SCOPED_TRACE(::testing::Message() << whole.first << " to " << whole.last << ", "
                                        << pieces.tasks() << " tasks, " << listing);
      std::uint64_t next = whole.first;
      for (std::int64_t task = 0; task < pieces.tasks(); ++task) {
        const Interval piece = pieces.at(task);
        EXPECT_EQ(piece.first, next) << task;
        EXPECT_LE(piece.first, piece.last) << task;
        EXPECT_GT(pieces.cost(task), 0);
        next = piece.last;
      }
      EXPECT_EQ(next, whole.last);
      std::int64_t before = -1;
      EXPECT_GE(pieces.windows().size(), 1);
      for (const std::int64_t window : pieces.windows()) {
        EXPECT_GT(window, before + (before < 0 ? 0 : 2));
        EXPECT_LE(pieces.at(window).size(), 8192);
        EXPECT_GE(pieces.at(window).size(), std::min<std::uint64_t>(8192, whole.size() / 2));
        before = window;
      }
    }
}

TEST(PiecesTest, AreLongWhereTheRootCostsMuchAndManyWhereThereIsMuch) {
  const auto most = [](const Interval& whole, bool listing) {
    return static_cast<double>(Pieces(whole, listing).at(0).size());
  };
  EXPECT_GT(most({largest - 10'000'000'000, largest}, false), 3e8);
  EXPECT_LT(Pieces({0, largest}, false).tasks(), 10'000'000);
  EXPECT_GT(Pieces({0, 10'000'000'000}, false).tasks(), 32);
  for (const Interval& whole :
       {Interval{0, 10'000'000'000}, {0, largest}, {largest / 2, largest}}) {
    EXPECT_LT(Pieces(whole, true).text_bytes(), 64e6);
    EXPECT_GT(Pieces(whole, true).text_bytes(), 1e6);
  }
}

TEST(PrimesJob, SameBytesAndFilesAtEveryLayout) {
  const Session session;
  const Comm comm(session);
  if (comm.is_root())
    std::filesystem::remove_all(folder()); // what a killed test left
  comm.barrier();                          // or another rank may make the folder meanwhile
  const auto output = folder() / "a.txt";
  for (const bool listing : {false, true}) {
    std::vector<std::byte> bytes;
    for (const int threads : {1, 2})
      for (const char* schedule : {"auto", "block", "cyclic,2"}) {
        SCOPED_TRACE(::testing::Message() << threads << " threads, " << schedule);
        Pool pool(session, {.threads = threads, .schedule = Schedule::parse(schedule)});
        Given given{{"a", "1e6+7"}, {"b", "5e6"}};
        if (listing)
          given["output"] = output;
        const auto job = prepared(pool, given);
        job->run(pool);
        job->run(pool);
        if (!pool.is_root())
          continue;
        const Verdict verdict = job->check();
        EXPECT_EQ(verdict.verify, Verify::ok) << verdict.how;
        EXPECT_EQ(counted(*job), 348'513 - 78'499); // 1000003 is before the interval
        bytes = bytes.empty() ? bytes_of(*job) : bytes;
        EXPECT_EQ(bytes_of(*job), bytes);
        job->write_outputs();
        if (listing) {
          std::string lines;
          for (const std::uint64_t prime : eratosthenes({1'000'007, 5'000'000}))
            lines += std::to_string(prime) + "\n";
          EXPECT_TRUE(content(output) == lines);
          std::filesystem::remove(output);
        }
        EXPECT_TRUE(std::filesystem::is_empty(folder()));
      }
  }
}

TEST(PrimesJob, KnownCountsAndSmallIntervals) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const auto output = folder() / "b.csv";
  const std::tuple<const char*, const char*, std::int64_t> all[] = {
      {"0", "1", 0},         {"0", "2", 0},         {"0", "3", 1},     {"2", "3", 1},
      {"24", "29", 0},       {"0", "10", 4},        {"0", "1e3", 168}, {"2", "1e6", 78'498},
      {"0", "1e7", 664'579}, {"1e9", "1e9+1e3", 49}};
  for (const auto& [a, b, right] : all)
    for (const bool listing : {false, true}) {
      Given given{{"a", a}, {"b", b}};
      if (listing)
        given["output"] = output;
      const auto job = prepared(pool, given);
      job->run(pool);
      if (!pool.is_root())
        continue;
      EXPECT_EQ(job->check().verify, Verify::ok) << a << " " << b << ": " << job->check().how;
      EXPECT_EQ(counted(*job), right) << a << " " << b;
      job->write_outputs();
      if (listing) {
        const std::string text = content(output);
        EXPECT_EQ(text.substr(0, 6), "prime\n");
        EXPECT_EQ(std::ranges::count(text, '\n'), right + 1);
        std::filesystem::remove(output);
      }
    }
}

// Sieves that are wrong in one way each.
std::int64_t one_less(const Interval& interval) {
  return std::max<std::int64_t>(count(interval) - 1, 0);
}
std::int64_t odd_numbers(const Interval& interval) {
  return static_cast<std::int64_t>(interval.size() / 2);
}
/// Right in the windows, and a tenth too few elsewhere.
std::int64_t some_lost(const Interval& interval) {
  const std::int64_t right = count(interval);
  return interval.size() <= 8192 ? right : right - right / 10;
}
/// Right in the windows, and one too few elsewhere.
std::int64_t one_lost(const Interval& interval) {
  return count(interval) - (interval.size() > 8192 ? 1 : 0);
}
std::vector<std::uint64_t> another(const Interval& interval) {
  std::vector<std::uint64_t> primes = eratosthenes(interval);
  if (!primes.empty())
    primes.back() += 1;
  return primes;
}

TEST(PrimesJob, ABrokenSieveFailsTheCheck) {
  const Session session;
  Pool pool(session, {.threads = 2});
  const auto verdict = [&](const Sieve& sieve, bool listing) {
    Given given{{"b", "1e7"}};
    if (listing)
      given["output"] = folder() / "c.txt";
    const auto job = prepared(pool, given, sieve);
    if (pool.is_root()) {
      EXPECT_EQ(job->check().verify, Verify::failed) << "before any run";
    }
    job->run(pool);
    return pool.is_root() ? job->check() : Verdict{};
  };
  const std::pair<Sieve, const char*> broken[] = {
      {{one_less, nullptr}, "by Miller and Rabin"},
      {{odd_numbers, nullptr}, "by Miller and Rabin"},
      {{some_lost, nullptr}, "too far from li"},
      {{one_lost, nullptr}, "pi(b) is 664579, not 66457"},
      {{nullptr, another}, "other primes"}};
  for (const auto& [sieve, why] : broken) {
    const Verdict wrong = verdict(sieve, sieve.list != nullptr);
    if (!pool.is_root())
      continue;
    EXPECT_EQ(wrong.verify, Verify::failed) << why;
    EXPECT_THAT(wrong.how, HasSubstr(why));
  }
  if (pool.is_root()) {
    EXPECT_TRUE(std::filesystem::is_empty(folder()));
  }
}

TEST(PrimesJob, AFailedFileDoesNotLoseTheAnswer) {
  const Session session;
  Pool pool(session, {.threads = 1});
  const auto output = folder() / "d.txt";
  const auto job = prepared(pool, {{"b", "1e6"}, {"output", output}});
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit little{100'000, old.rlim_max};
  const auto previous = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &little);
  job->run(pool);
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, previous);
  if (!pool.is_root())
    return;
  EXPECT_EQ(job->check().verify, Verify::ok);
  EXPECT_EQ(counted(*job), 78'498);
  try {
    job->write_outputs();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(error.place().file, output);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

// Every rank learns the same refusal, about `key`.
void expect_refusal(Pool& pool, const Given& given, const std::string& key,
                    const std::string& message) {
  cleave::testing::expect_refusal([&] { (void)prepared(pool, given); }, key, message);
}

TEST(PrimesJob, BadInputsAreRefusedBeforeWork) {
  const Session session;
  Pool pool(session, {.threads = 1});
  for (const char* key : {"a", "b"})
    for (const char* bad : {"-1", "1.5", "2^64", "1e20", "nan", "x", ""})
      expect_refusal(pool, {{key, bad}}, key, "must be a whole number from 0 to 2^64-1");
  expect_refusal(pool, {{"a", "7"}, {"b", "7"}}, "b", "must be above a, 7, not 7");
  expect_refusal(pool, {{"a", "2^64-1"}, {"b", "1e3"}}, "b", "above a, 18446744073709551615");
  expect_refusal(pool, {{"output", "a.png"}}, "output", "must end in .txt or .csv");
}

} // namespace
} // namespace cleave::primes
