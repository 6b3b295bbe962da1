// Goes wrong on purpose, in the ways that its arguments name: for faults_test.py. What a rank
// survives, it tells by one line on standard error.
#include "cleave/executor.hpp"
#include "cleave/pool.hpp"
#include "kernel_refusals.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

/// Has a name in a stack, unlike what is in an anonymous namespace.
[[gnu::noinline]] void sleep_for_ever();

void sleep_for_ever() {
  while (true)
    std::this_thread::sleep_for(std::chrono::hours(1));
}

namespace {

using namespace cleave;
using cleave::testing::NoThreads;
using cleave::testing::refuse;

constexpr int culprit = 1;     // the rank that goes wrong, where only one does
constexpr std::int64_t n = 12; // tasks of a call

[[nodiscard]] bool is_culprit(const Pool& pool) {
  return pool.comm().rank() == culprit;
}

/// The limits of faults_test.py count from here, not from when this program was started.
void tell_instant() {
  const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
  std::fprintf(stderr, "[fault at %.6f s]\n", now.count());
}

/// What ends a process, or its part in the job.
using End = void (*)();
template <End end>
void go_wrong() {
  tell_instant();
  end();
}

std::int64_t identity(std::int64_t i) {
  return i;
}

/// Breaks when it is saved, or when it is loaded.
struct Brittle {
  enum class When : std::uint8_t { never, saved, loaded };
  When breaks = When::never;
  std::string text{}; // a class that is flat travels without serialize()

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if (Archive::is_saving::value && breaks == When::saved)
      throw std::runtime_error("cannot be saved");
    archive& breaks& text;
    if (Archive::is_loading::value && breaks == When::loaded)
      throw std::runtime_error("cannot be loaded");
  }
};

// ---- What a task does ----

std::int64_t throws(std::int64_t i) {
  if (i == 5)
    throw std::runtime_error("five is too much");
  return i;
}

std::int64_t throws_42(std::int64_t i) {
  if (i == 5)
    throw 42;
  return i;
}

std::int64_t runs_out_of_memory(std::int64_t i) {
  if (i == 5)
    return static_cast<std::int64_t>(std::vector<char>(std::size_t{1} << 60).size());
  return i;
}

enum class AtStop : std::uint8_t { returns, throws };

/// Task 5 would never end by itself.
template <AtStop at_stop>
std::int64_t never_ends(std::int64_t i, Worker& worker) {
  while (i == 5 && !worker.stop_requested())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (i == 5 && at_stop == AtStop::throws)
    throw std::runtime_error("stopped");
  return i;
}

std::int64_t ignores_its_timeout(std::int64_t i) {
  if (i == 5)
    go_wrong<sleep_for_ever>();
  return i;
}

constexpr auto timeout = std::chrono::milliseconds(200);

std::int64_t comes_in_time(std::int64_t i) {
  std::this_thread::sleep_for(timeout / 10);
  return i;
}

Brittle takes(const Brittle&) {
  return {};
}

Brittle makes_unsavable(std::int64_t) {
  return {.breaks = Brittle::When::saved};
}

Brittle makes_unloadable(std::int64_t) {
  return {.breaks = Brittle::When::loaded};
}

template <End end>
std::int64_t ends(std::int64_t i, Worker& worker) {
  if (worker.rank() == culprit)
    go_wrong<end>();
  std::this_thread::sleep_for(std::chrono::milliseconds(5)); // others must get tasks
  return i;
}

void throws_where_nobody_catches() {
  std::thread([] { throw std::runtime_error("thrown where nobody catches"); }).join();
}

void is_killed() {
  std::raise(SIGKILL);
}

void reads_nowhere() {
  std::signal(SIGSEGV, SIG_DFL);
  std::raise(SIGSEGV);
}

void exits() {
  std::exit(0);
}

void exits_at_once() {
  _exit(7);
}

// ---- Faults: those that every rank survives throw ----

using Faults = std::map<std::string, std::function<void(Pool&)>>;

/// Every task on a rank of its own beforehand, so that it is known which ones travel.
CallOptions dealt_out() {
  return {.schedule = Schedule::parse("cyclic,1")};
}

template <auto f>
void map(Pool& pool) {
  (void)pool.map(f, n);
}

/// A fault in which one rank can start no thread.
template <class Fault>
void without_threads(const Pool& pool, Fault fault, int rank = culprit) {
  std::optional<NoThreads> none;
  if (pool.comm().rank() == rank)
    none.emplace();
  fault();
}

/// Each rank a node of its own, whose leader has a thread that sees to what the node gets.
template <int rank>
void map_on_nodes_without_threads(Pool&) {
  Pool nodes(MPI_COMM_WORLD, {.threads = 2, .comm = {.ranks_per_node = 1}});
  without_threads(
      nodes, [&] { map<identity>(nodes); }, rank);
}

/// Inputs, results and a reduction on this pool are right.
void expect_right(Pool& pool, const CallOptions& options) {
  constexpr std::int64_t many = 100'000;
  std::vector<std::int64_t> inputs(pool.is_root() ? many : 0);
  std::iota(inputs.begin(), inputs.end(), 0);
  const auto same = pool.map([](std::int64_t x) { return x; }, inputs, options);
  const auto sum = pool.map_reduce(identity, many, std::plus<>(), std::int64_t{0});
  if (same != inputs || sum != many * (many - 1) / 2)
    throw Error(ErrorKind::wrong_answer, "the answer is wrong");
}

/// One rank may not read root's memory.
void compute_without_direct_memory(Pool& pool) {
  if (is_culprit(pool))
    refuse(SYS_process_vm_readv);
  for (const char* schedule : {"auto", "block", "cyclic,64", "dynamic,64", "guided"}) {
    Pool other(pool.comm(), {.threads = 2, .schedule = Schedule::parse(schedule)});
    if (other.data_path() != "window")
      throw Error(ErrorKind::wrong_answer, "data travel by way of " + other.data_path());
    expect_right(other, {});
  }
}

/// The same, from now on.
void lose_direct_memory(Pool& pool) {
  if (pool.data_path() != "direct")
    throw Error(ErrorKind::wrong_answer, "data travel by way of " + pool.data_path());
  if (is_culprit(pool))
    refuse(SYS_process_vm_readv);
  expect_right(pool, dealt_out());
}

void map_brittle(Pool& pool, Brittle::When when) {
  (void)pool.map(takes, std::vector<Brittle>(n, Brittle{.breaks = when}), dealt_out());
}

template <auto f>
void run_tasks(Pool& pool) {
  Executor::run(pool, [](Executor& executor) {
    std::vector<std::int64_t> inputs(n);
    for (std::int64_t i = 0; i < n; ++i)
      inputs[static_cast<std::size_t>(i)] = i;
    for (const auto& future : executor.map<f>(inputs))
      (void)future.get();
  });
}

template <auto f>
void run_timed_tasks(Pool& pool) {
  Pool with_timeout(pool.comm(), {.threads = 1, .timeout = timeout});
  run_tasks<f>(with_timeout);
}

void stops_once() {
  static bool stopped = false;
  if (!std::exchange(stopped, true))
    std::raise(SIGSTOP);
}

void run_brittle(Pool& pool, Brittle::When when) {
  Executor::run(pool, [when](Executor& executor) {
    (void)executor.submit<&takes>(Brittle{.breaks = when}).get();
  });
}

void throw_in_op(Pool& pool) {
  const auto add = [](std::int64_t a, std::int64_t b) {
    if (b == 5)
      throw std::overflow_error("the sum is too large");
    return a + b;
  };
  (void)pool.map_reduce(identity, n, add, std::int64_t{0});
}

void throw_in_progress(Pool& pool) {
  PoolOptions options{.threads = 1};
  options.on_progress = [](double) { throw std::runtime_error("nobody wants to know"); };
  Pool with_progress(pool.comm(), options);
  const auto slow = [](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return i;
  };
  (void)with_progress.map(slow, 60);
}

void throw_in_on_result(Pool& pool) {
  std::int64_t given = 0;
  const auto source = [&]() -> std::optional<std::int64_t> {
    return given < n ? std::optional(given++) : std::nullopt;
  };
  (void)pool.stream(identity, source, [](std::int64_t i, std::int64_t) {
    if (i == 5)
      throw std::runtime_error("the disk is full");
  });
}

void throw_in_source(Pool& pool) {
  const auto source = []() -> std::optional<std::int64_t> {
    throw std::runtime_error("the line is no number");
  };
  (void)pool.stream(identity, source, [](std::int64_t, std::int64_t) {});
}

void time_out_in_reduction(Pool& pool) {
  Pool with_timeout(pool.comm(), {.threads = 1, .timeout = timeout});
  (void)with_timeout.map_reduce(never_ends<AtStop::returns>, n, std::plus<>(), std::int64_t{0});
}

void time_out_as_data(Pool& pool) {
  const auto outcome = pool.map_collect(never_ends<AtStop::returns>, n, {.timeout = timeout});
  if (pool.is_root() && (outcome.results[5] || !outcome.results[4]))
    throw Error(ErrorKind::wrong_answer, "a result too many or too few");
  throw MapError(outcome.failures);
}

void leave_pool(const Comm& comm, int leaver) {
  Pool pool(comm, {.threads = 1});
  map<identity>(pool);
  if (comm.rank() == leaver)
    throw std::logic_error("only this rank sees this");
  map<identity>(pool);
}

/// A rank leaves another Pool, and lives on without a call while the others wait for it there.
template <int leaver>
void leave(Pool& pool) {
  try {
    leave_pool(pool.comm(), leaver);
  } catch (const std::logic_error&) {
    std::this_thread::sleep_for(std::chrono::seconds(5));
    throw Error(ErrorKind::wrong_answer, "lives on");
  }
}

const Faults survived = {
    {"timeout",
     [](Pool& pool) { (void)pool.map(never_ends<AtStop::returns>, n, {.timeout = timeout}); }},
    {"timeout_throws",
     [](Pool& pool) {
       (void)pool.map(never_ends<AtStop::throws>, n, {.retries = 1, .timeout = timeout});
     }},
    {"timeout_in_reduction", time_out_in_reduction},
    {"timeout_as_data", time_out_as_data},
    {"in_time", [](Pool& pool) { (void)pool.map(comes_in_time, 4 * n, {.timeout = timeout}); }},
    {"throw", map<throws>},
    {"throw_42", map<throws_42>},
    {"bad_alloc", map<runs_out_of_memory>},
    {"op", throw_in_op},
    {"save_input", [](Pool& pool) { map_brittle(pool, Brittle::When::saved); }},
    {"load_input", [](Pool& pool) { map_brittle(pool, Brittle::When::loaded); }},
    {"save_result", [](Pool& pool) { (void)pool.map(makes_unsavable, n, dealt_out()); }},
    {"load_result", [](Pool& pool) { (void)pool.map(makes_unloadable, n, dealt_out()); }},
    {"progress", throw_in_progress},
    {"on_result", throw_in_on_result},
    {"source", throw_in_source},
    {"rank_0_leaves", leave<0>},
    {"rank_1_leaves", leave<1>},
    {"rank_2_leaves", leave<2>},
    {"retries", [](Pool& pool) { (void)pool.map(throws, n, {.retries = 2}); }},
    {"from_root",
     [](Pool& pool) {
       pool.from_root([]() -> int { throw Error(ErrorKind::io, "no such file", {"in", 7, "k"}); });
     }},
    {"executor_throw", run_tasks<&throws>},
    {"executor_throw_42", run_tasks<&throws_42>},
    {"executor_bad_alloc", run_tasks<&runs_out_of_memory>},
    {"executor_timeout", run_timed_tasks<&never_ends<AtStop::returns>>},
    {"executor_timeout_throws", run_timed_tasks<&never_ends<AtStop::throws>>},
    {"executor_save_argument", [](Pool& pool) { run_brittle(pool, Brittle::When::saved); }},
    {"executor_load_argument", [](Pool& pool) { run_brittle(pool, Brittle::When::loaded); }},
    {"executor_save_result", run_tasks<&makes_unsavable>},
    {"executor_load_result", run_tasks<&makes_unloadable>},
    {"executor_stopped", run_tasks<&ends<stops_once>>},
    {"executor_function",
     [](Pool& pool) {
       Executor::run(pool, [](Executor&) { throw std::runtime_error("the plan is wrong"); });
     }},
    {"no_threads",
     [](Pool& pool) {
       without_threads(pool, [&] { const Pool other(pool.comm(), {.threads = 4}); });
     }},
    {"executor_no_threads",
     [](Pool& pool) { without_threads(pool, [&] { run_tasks<&identity>(pool); }); }},
    {"timeout_no_threads",
     [](Pool& pool) {
       without_threads(pool, [&] { (void)pool.map(identity, n, {.timeout = timeout}); });
     }},
    {"node_no_threads", map_on_nodes_without_threads<culprit>},
    {"root_no_threads", map_on_nodes_without_threads<0>},
    {"no_direct_memory", compute_without_direct_memory},
    {"lost_direct_memory", lose_direct_memory},
    {"no_node_memory",
     [](Pool& pool) {
       if (is_culprit(pool)) // a node's leader, each rank being a node
         refuse(SYS_memfd_create);
       const Pool nodes(MPI_COMM_WORLD, {.threads = 1, .comm = {.ranks_per_node = 1}});
     }},
    {"no_node_memory_for_more",
     [](Pool&) {
       Pool nodes(MPI_COMM_WORLD, {.threads = 1, .comm = {.ranks_per_node = 1}});
       if (is_culprit(nodes))
         refuse(SYS_memfd_create);
       expect_right(nodes, {});
     }},
    {"other_n", [](Pool& pool) { (void)pool.map(identity, is_culprit(pool) ? n + 1 : n); }},
    {"other_type",
     [](Pool& pool) {
       if (is_culprit(pool))
         (void)pool.map([](std::int64_t i) { return static_cast<double>(i); }, n);
       else
         (void)pool.map([](std::int64_t i) { return i; }, n);
     }},
    {"other_call",
     [](Pool& pool) {
       if (is_culprit(pool))
         (void)pool.from_root([] { return 1; });
       else
         (void)pool.map(identity, n);
     }},
    {"other_schedule",
     [](Pool& pool) {
       (void)pool.map(identity, n, is_culprit(pool) ? dealt_out() : CallOptions{});
     }},
    {"other_leaves",
     [](Pool& pool) {
       (void)pool.map_reduce(identity, n, std::plus<>(), std::int64_t{0},
                             {.grain = is_culprit(pool) ? 2 : 1});
     }},
    {"other_seed",
     [](Pool& pool) {
       const Pool other(pool.comm(), {.threads = 1, .seed = is_culprit(pool) ? 1U : 0U});
     }},
    {"executor_elsewhere",
     [](Pool& pool) {
       if (is_culprit(pool))
         (void)pool.map(identity, n);
       else
         run_tasks<&identity>(pool);
     }},
};

// ---- Faults that end the job ----

/// Keeps the other ranks at work; the culprit is to go wrong between two calls.
template <End end>
void end_between_calls(Pool& pool) {
  map<identity>(pool);
  if (is_culprit(pool))
    go_wrong<end>();
  map<identity>(pool);
}

void throw_to_main() {
  throw std::runtime_error("only this rank sees this");
}

const Faults fatal = {
    {"stuck", [](Pool& pool) { (void)pool.map(ignores_its_timeout, n, {.timeout = timeout}); }},
    {"abort", map<ends<std::abort>>},
    {"kill", map<ends<is_killed>>},
    {"segv", map<ends<reads_nowhere>>},
    {"exit", map<ends<exits>>},
    {"_exit", map<ends<exits_at_once>>},
    {"terminate", map<ends<throws_where_nobody_catches>>},
    {"throw_between", end_between_calls<throw_to_main>},
    {"kill_between", end_between_calls<is_killed>},
    {"exit_between", end_between_calls<exits>},
    {"absent", end_between_calls<sleep_for_ever>},
    {"executor_stuck", run_timed_tasks<&ignores_its_timeout>},
    {"executor_stuck_elsewhere", run_timed_tasks<&ends<sleep_for_ever>>},
    {"executor_kill", run_tasks<&ends<is_killed>>},
    {"executor_exit", run_tasks<&ends<exits>>},
    {"executor_throw_elsewhere",
     [](Pool& pool) {
       if (is_culprit(pool))
         go_wrong<throw_to_main>();
       run_tasks<&identity>(pool);
     }},
    {"executor_absent",
     [](Pool& pool) {
       if (is_culprit(pool))
         sleep_for_ever();
       run_tasks<&identity>(pool);
     }},
    {"return_early",
     [](Pool& pool) {
       if (is_culprit(pool))
         tell_instant();
       else
         map<identity>(pool);
     }},
};

/// Who the launcher says we are: MPI may be gone.
void tell(const std::string& fault, const std::string& what) {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  std::fprintf(stderr, "[rank %s] %s: %s\n", rank, fault.c_str(), what.c_str());
}

void survive(Pool& pool, const std::string& name, const std::function<void(Pool&)>& fault) {
  try {
    fault(pool);
    tell(name, "nothing was thrown");
  } catch (const Error& error) {
    tell(name, std::string(cleave::name(error.kind())) + ": " + error.what());
  }
}

} // namespace

int main(int argc, char** argv) {
  std::string name = "none";
  try {
    const Session session(argc, argv);
    Pool pool(session, {.threads = 1, .comm = {.patience_s = 1}});
    for (int i = 1; i < argc; ++i) {
      name = argv[i];
      if (const auto fault = survived.find(name); fault != survived.end())
        survive(pool, name, fault->second);
      else
        fatal.at(name)(pool);
    }
    name = "none";
  } catch (const std::exception& error) {
    tell(name, error.what());
    return 3;
  }
  return 0;
}
