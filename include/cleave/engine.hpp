/// @file
/// The frame that every collective call of the Pool runs in: agree, compute with the team, agree
/// again, carry failures as data. Not for users: they see the Pool.
#pragma once

#include "cleave/checkpoint.hpp"
#include "cleave/chunks.hpp"
#include "cleave/comm.hpp"
#include "cleave/error.hpp"
#include "cleave/layout.hpp"
#include "cleave/schedule.hpp"
#include "cleave/team.hpp"
#include "cleave/timings.hpp"
#include "cleave/worker.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <typeinfo>
#include <vector>

namespace cleave {

/// How a Pool works.
struct PoolOptions {
  int threads = 0;        ///< workers a rank; 0: as many as the rank has cores to itself
  Schedule schedule{};    ///< of calls that do not name their own
  std::uint64_t seed = 0; ///< of the tasks' random streams
  DataPath data_path = DataPath::automatic;
  bool trace = false; ///< keep one row per chunk
  /// Speeds of the workers, by number and in any unit, for the technique `weighted`; empty: as
  /// measured by the last call under weighted or adaptive.
  std::vector<double> weights{};
  CommOptions comm{};
  /// Told on root, now and then while tasks run: the share of the current call that is done, 0..1.
  std::function<void(double)> on_progress{};
  /// The longest that a task (reduce_ranges and map_bands: a leaf) may take, of calls that do not
  /// name their own, and of an Executor (root's counts); 0: no limit. Then Worker::stop_requested()
  /// turns true, and the task has failed by TimedOut, whatever it throws or returns. About 80 ns a
  /// task, 40 us a call.
  std::chrono::duration<double> timeout{0};
  /// Told of a task that is still at work when as much time again, at least 1 s, has passed: rank,
  /// task, thread and stack, on the task's rank, from a thread of its own. Then the whole job ends
  /// with the exit status of a failed task: no thread can be ended from outside.
  /// The default writes to standard error.
  std::function<void(const Error&)> on_stuck{};
};

/// How one call works, where it differs from the Pool's options.
struct CallOptions {
  std::optional<Schedule> schedule{}; ///< the same on every rank
  /// Cost of task i in any unit, asked at root alone: the dearest are drawn first. Of use where a
  /// few tasks take much longer than others; static schedules take no notice.
  std::function<double(std::int64_t)> cost{};
  /// How often a task that threw is tried again, by the same worker and with the same random
  /// numbers, before it has failed.
  int retries = 0;
  /// The longest that a task may take, at each try; 0: no limit. See PoolOptions::timeout.
  std::optional<std::chrono::duration<double>> timeout{};
  /// Whether the Pool's checkpoint keeps the results. Not where a later launch may make the call of
  /// that number with other inputs, or would cut the work into calls in another way.
  bool keep = true;
};

namespace detail {

/// The number of tasks is root's alone to know.
inline constexpr std::int64_t tasks_of_root = std::numeric_limits<std::int64_t>::min();

/// What a rank says about the collective call that it makes.
struct CallForm {
  const char* verb;                   ///< such as "map"
  std::size_t type;                   ///< hash of the types involved
  std::int64_t tasks = tasks_of_root; ///< else every rank must agree on it
  bool kept = false;                  ///< whether a checkpoint keeps its results
};

/// What root knows, and every rank learns when a call opens.
struct RootPart {
  std::int64_t tasks = 0;
  std::uint64_t inputs = 0;        ///< address of its array
  std::uint64_t results = 0;       ///< address of its array
  std::vector<TaskRange> chunks{}; ///< in the order in which to draw them; empty: by the schedule
  std::int64_t units = 0;          ///< leaves, where chunks are of leaves; 0: tasks
};

/// What is the same of types on every rank of one binary.
template <class... T>
[[nodiscard]] std::size_t type_mark() {
  std::size_t mark = 0;
  ((mark = mark * 31 + typeid(T).hash_code()), ...);
  return mark;
}

/// Throws on every rank what the lowest rank that gives something gives, named where it is not
/// root; returns where none does. Collective.
void raise_together(const Comm& comm, const std::exception_ptr& mine);
/// The second half of it, when all know that there is something. Collective.
[[noreturn]] void raise_first(const Comm& comm, const std::exception_ptr& mine);

/// Runs work() on this rank; what it throws on any rank, every rank throws. Collective.
template <class Work>
void together(const Comm& comm, Work work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  raise_together(comm, failure);
}

struct StuckTask; // src/watchdog.hpp

/// Tells of a stuck task of this rank, by options.on_stuck or on standard error, and ends the job.
[[noreturn]] void end_job(const Comm& comm, const PoolOptions& options, const StuckTask& stuck);

class Engine {
public:
  /// @param comm of its own: nobody else makes calls on it
  Engine(Comm comm, PoolOptions options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  /// While an exception unwinds, tells the other ranks that this one has left.
  ~Engine();

  [[nodiscard]] const Comm& comm() const noexcept { return comm_; }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Workers& workers() const noexcept { return workers_; }
  [[nodiscard]] int threads() const noexcept { return static_cast<int>(hands_.size()); }
  [[nodiscard]] DataPath path() const noexcept { return path_; }
  [[nodiscard]] WindowPool& windows() noexcept { return windows_; }
  /// @param schedule of this call, when it is not the Pool's
  [[nodiscard]] ChunkSequence sequence(std::int64_t units,
                                       const std::optional<Schedule>& schedule = {}) const {
    // What is left of a call that goes on is drawn: it is no even share of anything.
    return {units, workers_.count(), goes_on_ ? Schedule() : schedule.value_or(options_.schedule)};
  }
  /// How data travels in a call. @param item_bytes the larger of an input's and a result's
  [[nodiscard]] Route route(const ChunkSequence& sequence, const RootPart& root,
                            std::int64_t item_bytes);

  /// Opens a collective call. `prepare` runs on root; what it throws, every rank throws.
  /// @throws Error lost_peer on every rank when they do not make the same call
  RootPart open(const CallForm& form, const std::function<RootPart()>& prepare);

  /// Limits the tasks of this call. @param timeout not above 0: no limit
  void time_out_after(std::chrono::duration<double> timeout) noexcept { timeout_ = timeout; }

  /// Runs body(worker, chunk) for the chunks of leaves that this rank's workers get; an exception
  /// of body itself is recorded as a failure of the chunk's first task.
  using Body = std::function<void(Worker&, TaskRange chunk)>;
  void compute(const ChunkSequence& sequence, const RootPart& root, const Leaves& leaves,
               const Body& body);
  /// The same for leaves that this rank holds already, dealt out to its threads alone.
  void compute_own(TaskRange own, const Leaves& leaves, const Body& body);

  /// Runs one(i) for i in `range`, looking now and then whether the call has failed, and records
  /// what a task throws.
  /// @param keep_going also after a failure (collect)
  /// @param keep told of ranges that have been done without failure, about four times a second and
  ///        at the end
  template <class One, class Keep>
  void each(Worker& worker, TaskRange range, bool keep_going, One one, Keep keep);

  /// Ends the computing part: every rank learns whether tasks failed.
  /// @return all failures in task order, the same on every rank
  [[nodiscard]] std::vector<TaskFailure> join();
  /// join(), and MapError on every rank when a task failed.
  void join_or_throw();
  /// The call is over: what follows is the caller's own code.
  void close() { clock_.enter(Phase::compute); }
  void enter(Phase phase) { clock_.enter(phase); }
  /// Counts bytes that travelled between ranks.
  void count_bytes(std::uint64_t in, std::uint64_t out);
  static constexpr std::int64_t beside_tasks = -1; ///< TaskFailure::task of no task
  /// Records the failure of a task. Thread-safe.
  /// @param stop the others need not go on
  void fail(const Worker& worker, std::int64_t task, const std::exception_ptr& why,
            bool stop = true);
  /// What fail() keeps of an exception.
  [[nodiscard]] TaskFailure failure_of(const Worker& worker, std::int64_t task,
                                       const std::exception_ptr& why) const;
  /// Runs work() on the rank's own thread; what it throws is a failure like a task's, told by the
  /// next join().
  template <class Work>
  void attempt(Work work) {
    try {
      work();
    } catch (...) {
      fail(crew_.front(), beside_tasks, std::current_exception());
    }
  }
  [[nodiscard]] bool stopped() const noexcept {
    return stop_->load(std::memory_order_relaxed) == call_;
  }
  /// Whether the call that join() has ended was stopped before all of its tasks had begun, even if
  /// it goes on after failures (collect). The same on every rank.
  [[nodiscard]] bool broken_off() const noexcept { return broken_off_; }
  /// What travels between ranks in a node when everyone tells everyone: by rank, on every rank.
  [[nodiscard]] std::vector<std::vector<std::byte>> exchange(std::span<const std::byte> mine);

  /// Calls are kept in `checkpoint` from now on, and go on from there. Local, on every rank alike.
  /// @param checkpoint outlives this; null: none
  void keep_in(Checkpoint* checkpoint) noexcept { checkpoint_ = checkpoint; }
  /// Whether units of the current call are kept. Thread-safe.
  [[nodiscard]] bool keeps() const noexcept;
  /// Keeps the results of units of the current call. Thread-safe.
  void keep(TaskRange units, std::span<const std::byte> bytes) const;
  /// Whether an earlier launch has done a part of the current call. The same on every rank.
  [[nodiscard]] bool goes_on() const noexcept { return goes_on_; }
  /// Whether it has done all of it.
  [[nodiscard]] bool all_kept() const noexcept { return all_kept_; }
  /// Calls told(units, bytes) for what it has done, in order, at root; an exception is a failure of
  /// the call.
  void restore(const std::function<void(TaskRange, std::span<const std::byte>)>& told);
  /// Keeps a state of root's, from which the repetition can be gone on with. Local.
  void keep_state(std::size_t type, const std::function<std::vector<std::byte>()>& pack) const;
  /// The state to go on from, at root; and the number of the call after which.
  [[nodiscard]] std::optional<std::pair<std::uint64_t, std::string>>
  kept_state(std::size_t type) const;
  /// The longest that a worker of this node has been without looking around: a task, where they
  /// are long. Local, thread-safe.
  [[nodiscard]] std::chrono::nanoseconds longest_task() const noexcept;
  /// The next call has the number after `call`. Local, on every rank alike.
  void go_on_after(std::uint64_t call) noexcept;

  void begin_repetition();
  [[nodiscard]] Repetition end_repetition();
  /// Where an exception leaves it. Local.
  void abandon_repetition() noexcept { repeated_ = skipped_ = 0; }
  /// Drawn from the random stream of the last call, which is no worker's. Local.
  [[nodiscard]] std::uint64_t drawn_seed() const noexcept {
    return RandomStream(options_.seed, number(), 0)();
  }
  /// That a worker of this rank has run tasks outside compute(), by the steady clock. Local; to be
  /// called by the worker's thread.
  void count(const Worker& worker, TaskRange tasks, std::int64_t begin_ns, std::int64_t end_ns);
  [[nodiscard]] std::vector<TraceRow> take_trace();
  [[nodiscard]] Timings& timings() noexcept { return timings_; }

private:
  struct Shared;
  struct Slot;
  struct Gauge;
  [[nodiscard]] Shared& shared() const;
  [[nodiscard]] Slot& slot(std::size_t place) const;
  [[nodiscard]] Gauge& gauge(std::size_t worker_on_node) const;
  /// Of the workers on this node, for a call of that number.
  [[nodiscard]] std::span<Lane> lanes(std::uint32_t call) const;
  struct alignas(128) Hand { // of one thread
    std::int64_t group = 1;  // tasks between two looks around
    std::int64_t since = 0;  // tasks since the last
    std::int64_t looked_ns = 0;
    std::int64_t kept_ns = 0; // when it last handed over what it had done
    Pace pace;
    double weight = 1; // speed relative to the other workers, as far as it is known
    std::int64_t weighed_ns = 0;
    std::int64_t paced_ns = 0; // chunks of this call
    std::int64_t paced_units = 0;
    std::int64_t busy_ns = 0;
    std::uint64_t tasks = 0;
    std::uint64_t chunks = 0;
    std::vector<TraceRow> trace;
    std::vector<CostedChunk> dear; // of this call: its longest chunks, in nanoseconds
    bool learns = false;           // in this call, which is under `auto`
  };
  void look_around(const Worker& worker, Hand& hand);
  void note_longest(std::int64_t spent_ns) noexcept;
  [[nodiscard]] static bool due(Hand& hand) noexcept;
  /// Of the current call, the same in every repetition and launch.
  [[nodiscard]] std::uint32_t number() const noexcept { return call_ - repeated_ + skipped_; }
  void end_where_stopping();
  [[nodiscard]] bool find_kept(const CallForm& form, RootPart& root);
  void start_team();
  [[noreturn]] void disagree(const CallForm& form);
  void run_team(std::int64_t units, const std::function<void(Worker&)>& work);
  [[nodiscard]] bool draws(const ChunkSequence& sequence) const noexcept {
    return !sequence.is_static() && (path_ != DataPath::messages || comm_.nodes() > 1);
  }
  void pull_all(Chunks chunks, const ChunkSequence& sequence, const Leaves& leaves,
                const Body& body);
  void pull(Worker& worker, Chunks& chunks, Technique technique, const Leaves& leaves,
            const Body& body);
  template <class Work>
  void run_chunk(Worker& worker, Hand& hand, TaskRange tasks, Work work);
  [[nodiscard]] TraceRow trace_row(const Worker& worker, TaskRange tasks, std::int64_t begin_ns,
                                   std::int64_t end_ns) const;
  void begin_pace(Hand& hand, const Worker& worker, Technique technique);
  void keep_pace(Hand& hand, const Worker& worker, Technique technique, TaskRange chunk,
                 std::int64_t spent_ns);
  void weigh(Hand& hand, const Worker& worker);
  void broadcast(std::vector<TaskRange>& chunks);
  void supply(const ChunkSequence& sequence, const RootPart& root);
  [[nodiscard]] std::vector<Supply::Node> nodes() const;
  void compute_supplied(const ChunkSequence& sequence, const Leaves& leaves, const Body& body);
  [[nodiscard]] std::vector<TaskRange> recalled() const;
  void learn();
  void forget_dear();
  void report_progress();
  void clock_setup() noexcept;

  Comm comm_;
  PoolOptions options_;
  Layout layout_;
  Workers workers_;
  DataPath path_;
  WindowPool windows_;
  NodeWindow memory_;                          // engine_memory.hpp
  std::atomic<std::uint32_t>* stop_ = nullptr; // number of the last call that failed on this node
  std::optional<Team> team_;
  std::size_t place_;                        // of this rank on its node
  int first_on_node_ = 0;                    // number of this rank's first worker there
  double mean_weight_ = 1;                   // of the weights told of its workers
  std::vector<Worker> crew_;                 // by thread
  std::vector<Hand> hands_;                  // by thread
  std::vector<Watch> watches_;               // by thread
  std::chrono::duration<double> timeout_{0}; // of the current call
  std::mutex failures_mutex_;
  std::vector<TaskFailure> failures_;
  std::uint32_t call_ = 0;
  std::uint32_t exchanges_ = 0;        // so far: their letters take turns
  std::uint32_t first_repetition_ = 0; // number of the call that began it
  std::uint32_t repeated_ = 0;         // calls since then, where a repetition begins
  std::uint32_t skipped_ = 0;          // calls that this repetition need not make again
  bool stops_ = false;                 // a failure of this rank ends the call at once
  bool broken_off_ = false;            // the call that was joined last
  bool kept_call_ = false;             // the current call is one that checkpoints keep
  bool goes_on_ = false;
  bool all_kept_ = false;
  bool resumed_ = false;   // a part of this repetition was done by an earlier launch
  std::int64_t units_ = 0; // of the current call
  Checkpoint* checkpoint_ = nullptr;
  CallKey key_;                   // of the current call, in the checkpoint
  std::int64_t chunks_units_ = 0; // units of a call that goes on, in its chunks
  std::optional<Supply> supply_;  // of the last call that was drawn on several nodes
  /// What all know of a call from the last one of its form: where its long chunks are.
  struct Experience {
    std::int64_t units = 0;
    std::int64_t rest = 1; // units in a chunk of what is not dear
    std::vector<CostedChunk> dear;
  };
  std::map<std::pair<std::size_t, std::int64_t>, Experience> experiences_; // by form, tasks
  std::pair<std::size_t, std::int64_t> form_;                              // of the current call
  int exceptions_;                                                         // uncaught when we began
  PhaseClock clock_;
  std::int64_t setup_ns_ = monotonic_ns(); // since when the next repetition is being set up
  ClockOffset offset_;
  std::int64_t start_ns_ = 0; // of the repetition, own clock
  std::int64_t begun_ns_ = 0; // when this rank really began
  RankTimes counters_;
  std::uint32_t switches_ = 0;
  std::int64_t progress_ns_ = 0;
  Repetition current_; // what is known of the repetition when it begins
  int repetition_ = -1;
  Timings timings_;
};

template <class One, class Keep>
void Engine::each(Worker& worker, TaskRange range, bool keep_going, One one, Keep keep) {
  Hand& hand = hands_[static_cast<std::size_t>(worker.thread())];
  std::int64_t i = range.first;
  std::int64_t done = i; // that keep() has been told of
  const auto keep_until = [&](std::int64_t end) {
    if (done < end)
      keep(TaskRange{done, end});
    done = end;
  };
  while (i < range.last && !stopped()) {
    const std::int64_t first = i;
    const std::int64_t end =
        i + std::min(range.last - i, std::max(hand.group - hand.since, std::int64_t{1}));
    try {
      for (; i < end && !stopped(); ++i)
        one(i);
    } catch (...) {
      keep_until(i);
      fail(worker, i++, std::current_exception(), !keep_going);
      done = i;
    }
    hand.since += i - first;
    if (hand.since < hand.group)
      continue;
    try {
      look_around(worker, hand);
    } catch (...) { // who is told how far we are may end the call
      keep_until(i);
      throw;
    }
    if (keeps() && due(hand))
      keep_until(i);
  }
  keep_until(i);
}

} // namespace detail
} // namespace cleave
