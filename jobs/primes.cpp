// The primes of an interval, counted or listed, by libprimesieve. The plain loop:
//
//   for (n = a; n < b; ++n) if (is_prime(n)) { ++count; print(n); }
//
// The file to copy for tasks of unlike cost, and for a kernel that a library has.

#include "jobs/primes.hpp"

#include "cleave/data.hpp"
#include "cleave/pool.hpp"

#if CLEAVE_HAS_PRIMESIEVE
#include <primesieve.hpp>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

namespace cleave::primes {
namespace {

/// A prime a line.
std::string as_lines(const std::vector<std::uint64_t>& primes) {
  constexpr std::size_t longest = 21; // 20 digits and the line's end
  std::string text(longest * primes.size(), '\0');
  char* at = text.data();
  for (const std::uint64_t prime : primes) {
    at = std::to_chars(at, at + longest, prime).ptr;
    *at++ = '\n';
  }
  text.resize(static_cast<std::size_t>(at - text.data()));
  return text;
}

/// What one repetition comes to, the same bytes at every layout.
struct Answer {
  std::int64_t count = 0;
  std::uint64_t text_sum = 0; ///< of all lines, where they are wanted
};

/// A task is a piece of the interval.
class Primes : public Job {
public:
  Primes(const Interval& whole, const Sieve& sieve, std::filesystem::path output, int workers)
      : whole_(whole), pieces_(whole, !output.empty()), sieve_(sieve), output_(std::move(output)),
        workers_(workers) {}

  [[nodiscard]] std::int64_t tasks() const override { return pieces_.tasks(); }
  [[nodiscard]] double work() const override { return static_cast<double>(whole_.size()); }
  [[nodiscard]] std::string unit() const override { return "numbers"; }
  [[nodiscard]] std::pair<std::string, double> rate() const override {
    return {"Gnumbers/s", 1e-9};
  }
  [[nodiscard]] double memory_bytes() const override;

  void run(Pool& pool) override;
  [[nodiscard]] Verdict check() override;
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(&answer_, 1));
  }
  [[nodiscard]] Summary summary() const override;
  void write_outputs() override;

private:
  void count(Pool& pool);
  void list(Pool& pool);
  void take(std::int64_t task, const std::string& lines);
  [[nodiscard]] std::int64_t batch_in_memory() const;
  [[nodiscard]] std::int64_t batch_tasks() const;
  template <class Write>
  void attempt(Write write);
  [[nodiscard]] std::string wrong_window() const;

  Interval whole_;
  Pieces pieces_;
  Sieve sieve_;
  std::filesystem::path output_; ///< empty: count alone
  int workers_;
  Answer answer_; // root, as all that follows
  std::vector<std::int64_t> window_counts_;
  std::vector<std::string> window_lines_;
  std::optional<StreamedFile> file_;
  std::optional<Error> error_; ///< of the file: told at the end, so that the answer is not lost
};

std::int64_t Primes::batch_in_memory() const {
  constexpr double batch_bytes = 64e6;
  return static_cast<std::int64_t>(batch_bytes / pieces_.text_bytes());
}

std::int64_t Primes::batch_tasks() const {
  return std::max<std::int64_t>(batch_in_memory(), std::int64_t{2} * workers_);
}

/// A batch of lines comes in twice, packed for the way and as results; each worker has the numbers
/// of a task, and their lines.
double Primes::memory_bytes() const {
  if (output_.empty())
    return static_cast<double>(tasks()) * sizeof(std::int64_t);
  const auto most = static_cast<double>(std::min(batch_tasks(), tasks()));
  return (2 * most + 3 * workers_) * pieces_.text_bytes();
}

void Primes::run(Pool& pool) {
  answer_ = {};
  window_counts_.clear();
  window_lines_.clear();
  file_.reset();
  error_.reset();
  if (output_.empty())
    count(pool);
  else
    list(pool);
}

void Primes::count(Pool& pool) {
  const CallOptions dearest_first{.cost = [this](std::int64_t task) { return pieces_.cost(task); }};
  const std::vector<std::int64_t> counts = pool.map(
      [this](std::int64_t task) {
        const Interval interval = pieces_.at(task);
        return interval.size() == 0 ? 0 : sieve_.count(interval);
      },
      tasks(), dearest_first);
  if (!pool.is_root())
    return;
  answer_.count = std::reduce(counts.begin(), counts.end());
  for (const std::int64_t task : pieces_.windows())
    window_counts_.push_back(counts[static_cast<std::size_t>(task)]);
}

void Primes::list(Pool& pool) {
  if (pool.is_root())
    attempt([&] {
      file_.emplace(output_);
      if (output_.extension() == ".csv")
        file_->append(std::as_bytes(std::span("prime\n", 6)));
    });
  const std::int64_t batch = batch_tasks();
  // Where so many workers need larger batches, other launches would cut them in another way.
  const CallOptions kept{.keep = batch == batch_in_memory()};
  for (std::int64_t first = 0; first < tasks(); first += batch) {
    const auto lines_of = [this, first](std::int64_t i) {
      const Interval interval = pieces_.at(first + i);
      return interval.size() == 0 ? std::string() : as_lines(sieve_.list(interval));
    };
    std::int64_t task = first;
    for (const std::string& lines : pool.map(lines_of, std::min(batch, tasks() - first), kept))
      take(task++, lines);
  }
}

void Primes::take(std::int64_t task, const std::string& lines) {
  const auto bytes = std::as_bytes(std::span(lines));
  const auto found = std::ranges::count(lines, '\n');
  const std::array sums{answer_.text_sum, checksum(bytes)};
  answer_ = {answer_.count + found, checksum(std::as_bytes(std::span(sums)))};
  if (std::ranges::binary_search(pieces_.windows(), task)) {
    window_counts_.push_back(found);
    window_lines_.push_back(lines);
  }
  if (file_)
    attempt([&] { file_->append(bytes); });
}

template <class Write>
void Primes::attempt(Write write) {
  try {
    write();
  } catch (const Error& error) {
    error_ = error;
    file_.reset();
  }
}

void Primes::write_outputs() {
  if (file_)
    attempt([&] { file_->publish(); });
  file_.reset();
  if (error_)
    throw Error(*error_);
}

/// Every window again, number by number.
std::string Primes::wrong_window() const {
  const std::vector<std::int64_t> windows = pieces_.windows();
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const Interval window = pieces_.at(windows[i]);
    std::vector<std::uint64_t> primes;
    for (std::uint64_t n = window.first; n < window.last; ++n)
      if (is_prime(n))
        primes.push_back(n);
    const std::string where =
        " from " + std::to_string(window.first) + " to before " + std::to_string(window.last);
    if (window_counts_[i] != std::ssize(primes))
      return std::to_string(window_counts_[i]) + " primes" + where + ", but " +
             std::to_string(primes.size()) + " by Miller and Rabin's test";
    if (!output_.empty() && window_lines_[i] != as_lines(primes))
      return "other primes" + where + " than by Miller and Rabin's test";
  }
  return {};
}

Verdict Primes::check() {
  const std::size_t windows = pieces_.windows().size();
  if (window_counts_.size() != windows)
    return {Verify::failed, "not all pieces of the interval were sieved"};
  if (const std::string wrong = wrong_window(); !wrong.empty())
    return {Verify::failed, wrong};
  if (const std::string wrong = far_from_li(whole_, answer_.count); !wrong.empty())
    return {Verify::failed, wrong};
  std::string how =
      std::to_string(windows) +
      " pieces of up to 8192 numbers as by Miller and Rabin's test; near li(b) - li(a)";
  if (const auto known = known_count_below(whole_.last); known && whole_.first <= 2) {
    how += "; pi(b) is " + std::to_string(*known);
    if (answer_.count != *known)
      return {Verify::failed, how + ", not " + std::to_string(answer_.count)};
  }
  return {Verify::ok, how};
}

Summary Primes::summary() const {
  Summary facts{{"count", answer_.count}};
  if (!output_.empty())
    facts.push_back({"output", output_.string()});
  return facts;
}

std::uint64_t bound(const Values& values, const char* name) {
  const std::string text = values.text(name);
  if (const auto value = read_bound(text))
    return *value;
  throw values.error(name, "must be a whole number from 0 to 2^64-1, such as 1000000, 1e10 or "
                           "2^64-1, not \"" +
                               text + "\"");
}

Interval read_interval(const Values& values) {
  const Interval interval{bound(values, "a"), bound(values, "b")};
  if (interval.first >= interval.last)
    throw values.error("b", "must be above a, " + std::to_string(interval.first) + ", not " +
                                std::to_string(interval.last));
  return interval;
}

std::unique_ptr<Job> prepare(const Values& values, Pool& pool, const Sieve& sieve) {
  const std::filesystem::path output = values.file("output").lexically_normal();
  if (!output.empty() && output.extension() != ".txt" && output.extension() != ".csv")
    throw values.error("output", output.string() + " must end in .txt or .csv");
  return std::make_unique<Primes>(read_interval(values), sieve, output, pool.workers());
}

/// More numbers from a on. Those higher up cost a little more each: figures of a weak study use the
/// numbers sieved.
std::map<std::string, std::string> grow(const Values& values, double factor) {
  const Interval interval = read_interval(values);
  const double size = factor * static_cast<double>(interval.size());
  if (size >= 0x1p64 - static_cast<double>(interval.first))
    throw values.error("b", "would grow beyond 2^64; give a lower one");
  return {{"b", std::to_string(interval.first + static_cast<std::uint64_t>(size))}};
}

Parameter parameter(const char* name, ParameterType type, const char* default_value,
                    const char* summary) {
  Parameter made;
  made.name = name;
  made.type = type;
  made.default_value = default_value;
  made.summary = summary;
  return made;
}

#if CLEAVE_HAS_PRIMESIEVE

// One thread a call: the workers are the threads.
std::int64_t count_by_library(const Interval& interval) {
  return static_cast<std::int64_t>(primesieve::count_primes(interval.first, interval.last - 1));
}

std::vector<std::uint64_t> list_by_library(const Interval& interval) {
  std::vector<std::uint64_t> primes;
  primesieve::generate_primes(interval.first, interval.last - 1, &primes);
  return primes;
}

Workload by_library() {
  primesieve::set_num_threads(1);
  return workload_of({count_by_library, list_by_library});
}

#else

Workload by_library() {
  return workload_of({}, "the program was built without libprimesieve; install libprimesieve-dev, "
                         "configure and build again");
}

#endif

} // namespace

Workload workload_of(const Sieve& sieve, const std::string& unavailable) {
  using enum ParameterType;
  return {
      .name = "primes",
      .summary = "the primes from a to before b, counted or listed",
      .parameters = {parameter("a", text, "0", "where to begin: 0 to 2^64-1; 1e10, 2^32+1"),
                     parameter("b", text, "1e9", "where to end, above a: up to 2^64-1"),
                     parameter("output", output_file, "",
                               "list the primes in this file, .txt or .csv; --force replaces "
                               "one; empty: count alone")},
      .prepare = [sieve](const Values& values, Pool& pool) { return prepare(values, pool, sieve); },
      .unavailable = unavailable,
      .grow = grow};
}

} // namespace cleave::primes

cleave::Workload primes_workload() {
  return cleave::primes::by_library();
}
