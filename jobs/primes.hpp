/// @file
/// The parts of the workload primes: how an interval is cut into tasks, and a test of primality
/// that is no sieve.
#pragma once

#include "cleave/workload.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::primes {

/// The numbers from `first` to before `last`.
struct Interval {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  [[nodiscard]] std::uint64_t size() const noexcept { return last - first; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// A number from 0 to 2^64 - 1 as people write it: 10000000000, 1e10, 2^64-1, 2^63+25; nothing when
/// it is no such. Exact. Local, thread-safe.
[[nodiscard]] std::optional<std::uint64_t> read_bound(std::string_view text);

/// Whether n is prime, by Miller and Rabin's test with the first twelve primes as bases, which is
/// proven below 3.3e24 (J. Sorenson and J. Webster, Strong pseudoprimes to twelve prime bases,
/// Math. Comp. 86, 2017, doi:10.1090/mcom/3134). Local, thread-safe; 1 us at most.
[[nodiscard]] bool is_prime(std::uint64_t n) noexcept;

/// Primes below the powers of ten from 10 to 10^19 (OEIS A006880), or nothing for another bound.
[[nodiscard]] std::optional<std::int64_t> known_count_below(std::uint64_t bound) noexcept;

/// Why `count` cannot be the number of primes in the interval: too far from li(last) - li(first).
/// Empty when it can. |pi(x) - li(x)| < sqrt(x) ln(x) / (8 pi) for 2657 <= x <= 1.4e25 (J. Buethe,
/// Estimating pi(x) and related functions under partial RH assumptions, Math. Comp. 85, 2016,
/// doi:10.1090/mcom/3060). Local, thread-safe.
[[nodiscard]] std::string far_from_li(const Interval& interval, std::int64_t count);

/// An interval cut into tasks, a function of the interval and of what is wanted alone. Sieving
/// needs all primes up to the root of `last`, however short the piece: at 2^64 these cost as much
/// as 5e8 numbers of the interval. So pieces are the longer, the higher they lie and the more there
/// is to do: n numbers are cut into about sqrt(n / 2.5e6) pieces low down, sqrt(n / 1e8) at 2^64.
///
/// Some pieces, drawn at random, are cut in three, the middle one being a *window* of a few
/// thousand numbers: its part of the answer is compared with is_prime.
class Pieces {
public:
  /// @param whole not empty
  /// @param listing whether tasks return the primes: then they are shorter, for memory's sake
  Pieces(const Interval& whole, bool listing);

  [[nodiscard]] std::int64_t tasks() const noexcept;
  /// @pre 0 <= task < tasks()
  [[nodiscard]] Interval at(std::int64_t task) const noexcept;
  /// The tasks that are windows, in order.
  [[nodiscard]] std::vector<std::int64_t> windows() const;
  /// What a task costs, in numbers sieved.
  [[nodiscard]] double cost(std::int64_t task) const noexcept;
  /// The most bytes that a task's primes take as lines of text.
  [[nodiscard]] double text_bytes() const noexcept;

private:
  struct Window {
    std::int64_t piece;
    Interval interval;
  };
  [[nodiscard]] Interval piece(std::int64_t index) const noexcept;

  Interval whole_;
  double root_; ///< of the end
  std::uint64_t piece_size_;
  std::int64_t pieces_;
  std::vector<Window> windows_; ///< by piece, at most one in each
};

/// What finds the primes: libprimesieve in the program, others in tests. Called from all workers at
/// once.
struct Sieve {
  std::int64_t (*count)(const Interval& interval) = nullptr;
  std::vector<std::uint64_t> (*list)(const Interval& interval) = nullptr;
};

/// The workload `primes` by another sieve: tests break it so.
/// @param unavailable see Workload
[[nodiscard]] Workload workload_of(const Sieve& sieve, const std::string& unavailable = {});

} // namespace cleave::primes
