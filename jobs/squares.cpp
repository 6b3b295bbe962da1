// n*n for every n, after a simulated wait: the first example of Python's multiprocessing.Pool. It
// shows who computed what (--verbose), and with sleep_ms how waiting tasks overlap.

#include "jobs/squares.hpp"

#include "cleave/pool.hpp"
#include "cleave/workload.hpp"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cleave::squares {
namespace {

/// One task's result: the square, and who computed it.
struct Square {
  std::int64_t value;
  std::int32_t rank;
  std::int32_t thread;
};

/// The tasks of one worker, in words.
struct Share {
  static constexpr int most_ranges = 8;
  std::size_t tasks = 0;
  int ranges = 0;
  std::string text;

  /// Takes [first, last) in.
  void add(std::size_t first, std::size_t last) {
    tasks += last - first;
    if (++ranges > most_ranges + 1)
      return;
    text += ' ';
    text += ranges > most_ranges ? "..." : std::to_string(first);
    if (ranges <= most_ranges && last - first > 1)
      text.append("-").append(std::to_string(last - 1));
  }
};

class Squares : public Job {
public:
  Squares(std::int64_t n, double sleep_ms) : n_(n), sleep_(sleep_ms) {}

  [[nodiscard]] std::int64_t tasks() const override { return n_; }
  [[nodiscard]] double memory_bytes() const override {
    return static_cast<double>(n_) * (sizeof(Square) + sizeof(std::int64_t));
  }

  void run(Pool& pool) override {
    const auto square = [sleep = sleep_](std::int64_t i, Worker& worker) {
      if (sleep.count() > 0)
        std::this_thread::sleep_for(sleep);
      return Square{i * i, worker.rank(), worker.thread()};
    };
    const std::vector<Square> squares = pool.map(square, n_);
    values_.clear();
    who_.clear();
    if (pool.is_root())
      keep(squares, pool.comm());
  }

  [[nodiscard]] Verdict check() override { return squares::check(n_, values_); }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(values_));
  }
  [[nodiscard]] Summary summary() const override { return {{"values", values_}}; }
  [[nodiscard]] std::vector<std::string> details() const override { return who_; }

private:
  void keep(const std::vector<Square>& squares, const Comm& comm);

  std::int64_t n_;
  std::chrono::duration<double, std::milli> sleep_;
  std::vector<std::int64_t> values_; ///< root's
  std::vector<std::string> who_;     ///< root's: one line a worker
};

/// One line a worker with the first of its contiguous ranges of tasks: however many tasks there
/// are, the lines stay few and short.
void Squares::keep(const std::vector<Square>& squares, const Comm& comm) {
  std::map<std::pair<int, int>, Share> shares;
  values_.reserve(squares.size());
  for (std::size_t first = 0, last = 0; first < squares.size(); first = last) {
    const auto worker = std::pair(squares[first].rank, squares[first].thread);
    for (; last < squares.size() && std::pair(squares[last].rank, squares[last].thread) == worker;
         ++last)
      values_.push_back(squares[last].value);
    shares[worker].add(first, last);
  }
  for (const auto& [worker, share] : shares) {
    const auto [rank, thread] = worker;
    std::ostringstream line;
    line << "rank " << rank << " thread " << thread;
    if (rank < comm.size())
      line << " on " << comm.host_of(rank) << " (pid " << comm.pid_of(rank) << ")";
    else // a checkpoint has what it computed
      line << " of an earlier launch";
    line << ": " << share.tasks << " tasks:" << share.text;
    who_.push_back(line.str());
  }
}

} // namespace

Verdict check(std::int64_t n, std::span<const std::int64_t> values) {
  bool ok = std::ssize(values) == n && (n == 0 || values[0] == 0);
  for (std::size_t i = 1; ok && i < values.size(); ++i)
    ok = values[i] - values[i - 1] == 2 * static_cast<std::int64_t>(i) - 1;
  std::ostringstream how;
  how << values.size() << " squares: their differences are " << (ok ? "" : "not ")
      << "the odd numbers 1, 3, 5, ...";
  return {.verify = ok ? Verify::ok : Verify::failed, .how = how.str()};
}

} // namespace cleave::squares

cleave::Workload squares_workload() {
  using namespace cleave;
  return {.name = "squares",
          .summary = "n*n for n = 0, 1, ... after a simulated wait",
          .parameters = {{.name = "n",
                          .summary = "how many squares",
                          .type = ParameterType::integer,
                          .default_value = "16",
                          .minimum = 0,
                          .maximum = 1e9},
                         {.name = "sleep_ms",
                          .summary = "wait in each task before it computes",
                          .type = ParameterType::real,
                          .default_value = "0",
                          .unit = "ms",
                          .minimum = 0,
                          .maximum = 1e6}},
          .prepare =
              [](const Values& values, Pool&) {
                return std::make_unique<squares::Squares>(values.integer("n"),
                                                          values.real("sleep_ms"));
              },
          .grow =
              [](const Values& values, double factor) {
                const double n = factor * static_cast<double>(values.integer("n"));
                return std::map<std::string, std::string>{{"n", std::to_string(std::llround(n))}};
              }};
}
