#include "cleave/range.hpp"
#include "cleave/worker.hpp"
#include "jobs/primes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>

namespace cleave::primes {
namespace {

using Uint128 = __uint128_t; // of g++ and clang

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

/// Reads the terms of a bound from its front.
class BoundReader {
public:
  explicit BoundReader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool done() const noexcept { return text_.empty(); }
  bool skip(char c) {
    const bool found = !text_.empty() && text_.front() == c;
    text_.remove_prefix(found ? 1 : 0);
    return found;
  }
  /// 12, 1e10, 1.5e10 or 2^64; nothing beyond 2^65.
  std::optional<Uint128> term() {
    auto value = digits();
    if (!value)
      return value;
    if (skip('^'))
      return scaled(1, *value, digits());
    std::string_view fraction;
    if (skip('.')) {
      fraction = text_.substr(0, text_.find_first_not_of("0123456789"));
      text_.remove_prefix(fraction.size());
    }
    if (!skip('e') && !skip('E'))
      return fraction.empty() ? value : std::nullopt;
    skip('+');
    return shifted(*value, fraction, digits());
  }

private:
  static constexpr Uint128 most = Uint128{1} << 65;

  std::optional<Uint128> digits() {
    const std::string_view found = text_.substr(0, text_.find_first_not_of("0123456789"));
    text_.remove_prefix(found.size());
    return found.empty() ? std::nullopt : appended(0, found);
  }
  static std::optional<Uint128> appended(Uint128 value, std::string_view digits) {
    for (const char c : digits)
      if (value = 10 * value + static_cast<unsigned>(c - '0'); value > most)
        return std::nullopt;
    return value;
  }
  /// value * base^power
  static std::optional<Uint128> scaled(Uint128 value, Uint128 base, std::optional<Uint128> power) {
    if (!power || *power > 1000)
      return std::nullopt;
    for (Uint128 i = 0; i < *power && value != 0; ++i)
      if (value *= base; value > most)
        return std::nullopt;
    return value;
  }
  /// value.fraction * 10^power, which must be whole
  static std::optional<Uint128> shifted(Uint128 value, std::string_view fraction,
                                        std::optional<Uint128> power) {
    const auto all = appended(value, fraction);
    if (!all || !power || *power < fraction.size())
      return std::nullopt;
    return scaled(*all, 10, *power - fraction.size());
  }

  std::string_view text_;
};

std::uint64_t product(std::uint64_t a, std::uint64_t b, std::uint64_t n) noexcept {
  return static_cast<std::uint64_t>(Uint128{a} * b % n);
}

std::uint64_t power(std::uint64_t base, std::uint64_t exponent, std::uint64_t n) noexcept {
  std::uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1U, base = product(base, base, n))
    if ((exponent & 1U) != 0)
      result = product(result, base, n);
  return result;
}

/// Whether odd n = d 2^s + 1 looks prime to a base that it does not divide.
bool strong_probable_prime(std::uint64_t n, std::uint64_t base, std::uint64_t d, int s) noexcept {
  std::uint64_t x = power(base, d, n);
  if (x == 1 || x == n - 1)
    return true;
  for (int i = 1; i < s; ++i)
    if (x = product(x, x, n); x == n - 1)
      return true;
  return false;
}

/// The logarithmic integral.
double li(double x) {
  return x > 1 ? std::expint(std::log(x)) : 0;
}

/// The largest |pi(x) - li(x)|; below 2657, where the bound is not proven, 17.
double li_error(double x) {
  return x < 2657 ? 17 : std::sqrt(x) * std::log(x) / (8 * std::numbers::pi);
}

/// Bytes of a prime near x as a line.
double line_bytes(double x) {
  return std::floor(std::log10(std::max(x, 1.0))) + 2;
}

/// Numbers below `last` whose primes are about so many bytes of text.
double numbers_for(double bytes, const Interval& whole) {
  const double density = 1 / std::log(std::max(static_cast<double>(whole.first), 100.0));
  return bytes / line_bytes(static_cast<double>(whole.last)) / density;
}

/// What a piece costs beyond its numbers, in numbers: about 2 ms wherever it lies (libprimesieve 11
/// sieves pieces of less than 1.2e8 numbers more slowly), and what finding all primes up to the
/// root takes, 2 s at 2^64.
double overhead(double root) {
  return 1e7 + root / 8;
}

/// With n pieces on W workers, n overheads are shared by all and the last piece is waited for: n =
/// sqrt(W numbers / overhead) is the best for W, and not far from it for fewer and for more.
std::uint64_t size_of_pieces(const Interval& whole, double root, bool listing) {
  constexpr double typical_workers = 4;
  const auto numbers = static_cast<double>(whole.size());
  const double pieces = std::max(1.0, std::sqrt(typical_workers * numbers / overhead(root)));
  const double counted = std::ceil(numbers / pieces);
  if (!listing)
    return static_cast<std::uint64_t>(counted);
  const double listed = std::max(numbers_for(4e6, whole), root / 4);
  return static_cast<std::uint64_t>(std::min({counted, listed, numbers_for(32e6, whole)}));
}

} // namespace

std::optional<std::uint64_t> read_bound(std::string_view text) {
  BoundReader reader(text);
  std::optional<Uint128> value = reader.term();
  while (value && !reader.done()) {
    const bool plus = reader.skip('+');
    if (!plus && !reader.skip('-'))
      return std::nullopt;
    const auto next = reader.term();
    if (!next || (!plus && *next > *value))
      return std::nullopt;
    value = plus ? *value + *next : *value - *next;
  }
  if (!value || *value > largest)
    return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

bool is_prime(std::uint64_t n) noexcept {
  constexpr std::array<std::uint64_t, 12> bases{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
  if (n < 2)
    return false;
  for (const std::uint64_t base : bases)
    if (n % base == 0)
      return n == base;
  int s = 0;
  std::uint64_t d = n - 1;
  for (; d % 2 == 0; d /= 2)
    ++s;
  return std::ranges::all_of(
      bases, [&](std::uint64_t base) { return strong_probable_prime(n, base, d, s); });
}

std::optional<std::int64_t> known_count_below(std::uint64_t bound) noexcept {
  constexpr std::array<std::int64_t, 19> counts{4,
                                                25,
                                                168,
                                                1229,
                                                9592,
                                                78498,
                                                664579,
                                                5761455,
                                                50847534,
                                                455052511,
                                                4118054813,
                                                37607912018,
                                                346065536839,
                                                3204941750802,
                                                29844570422669,
                                                279238341033925,
                                                2623557157654233,
                                                24739954287740860,
                                                234057667276344607};
  std::uint64_t ten = 1;
  for (const std::int64_t count : counts)
    if (ten *= 10; ten == bound)
      return count;
  return std::nullopt;
}

std::string far_from_li(const Interval& interval, std::int64_t count) {
  const auto first = static_cast<double>(interval.first);
  const auto last = static_cast<double>(interval.last);
  const double expected = li(last) - li(first);
  const double error = li_error(first) + li_error(last);
  if (std::abs(static_cast<double>(count) - expected) <= error)
    return {};
  std::ostringstream text;
  text.precision(15);
  text << count << " primes are too far from li(b) - li(a) = " << expected;
  return text.str();
}

Pieces::Pieces(const Interval& whole, bool listing)
    : whole_(whole), root_(std::sqrt(static_cast<double>(whole.last))),
      piece_size_(size_of_pieces(whole, root_, listing)),
      pieces_(static_cast<std::int64_t>((whole.size() - 1) / piece_size_ + 1)) {
  constexpr std::uint64_t window_size = 8192; // is_prime tests it in a few ms
  const std::int64_t count = std::clamp<std::int64_t>(pieces_ / 16, 1, 32);
  RandomStream random(0, 0, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const TaskRange among = block_range(pieces_, count, i);
    const std::int64_t index =
        among.first +
        static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(among.size()));
    const Interval in = piece(index);
    const std::uint64_t size = std::min(window_size, in.size());
    const std::uint64_t first = in.first + random() % (in.size() - size + 1);
    windows_.push_back({index, {first, first + size}});
  }
}

Interval Pieces::piece(std::int64_t index) const noexcept {
  const std::uint64_t before = static_cast<std::uint64_t>(index) * piece_size_;
  const std::uint64_t size = std::min(piece_size_, whole_.size() - before);
  return {whole_.first + before, whole_.first + before + size};
}

std::int64_t Pieces::tasks() const noexcept {
  return pieces_ + 2 * std::ssize(windows_);
}

Interval Pieces::at(std::int64_t task) const noexcept {
  for (const Window& window : windows_) {
    if (task < window.piece)
      break;
    const Interval whole = piece(window.piece);
    if (task == window.piece)
      return {whole.first, window.interval.first};
    if (task == window.piece + 1)
      return window.interval;
    if (task == window.piece + 2)
      return {window.interval.last, whole.last};
    task -= 2; // the two tasks that this window adds
  }
  return piece(task);
}

std::vector<std::int64_t> Pieces::windows() const {
  std::vector<std::int64_t> tasks;
  for (const Window& window : windows_)
    tasks.push_back(window.piece + 2 * std::ssize(tasks) + 1);
  return tasks;
}

double Pieces::cost(std::int64_t task) const noexcept {
  return static_cast<double>(at(task).size()) + overhead(root_);
}

double Pieces::text_bytes() const noexcept {
  const double density = 1.26 / std::log(std::max(static_cast<double>(whole_.first), 100.0));
  const auto numbers = static_cast<double>(std::min(piece_size_, whole_.size()));
  return numbers * density * line_bytes(static_cast<double>(whole_.last));
}

} // namespace cleave::primes
