/// @file
/// The library's face: a pool of workers over ranks and threads.
#pragma once

#include "cleave/distributed.hpp"
#include "cleave/engine.hpp"
#include "cleave/transfer.hpp"
#include "cleave/tree.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace cleave {

/// The leaves of a reduction: they decide its bits.
struct LeafOptions {
  std::int64_t grain = 1; ///< the fewest tasks in a leaf: about 100 us of work
  std::int64_t max_leaves = default_max_leaves;
};

/// What map_collect returns. Results at root in input order, empty where the task failed; failures
/// in task order on every rank.
template <class R>
struct Outcome {
  std::vector<std::optional<R>> results;
  std::vector<TaskFailure> failures;
};

/// Rows of an image or a grid. Widths in elements a row.
struct BandShape {
  std::int64_t rows = 0;
  std::int64_t in_width = 0;
  std::int64_t out_width = 0;
  std::int64_t halo = 0;  ///< rows above and below that a row's result depends on
  std::int64_t grain = 1; ///< rows in a leaf
};

namespace detail {

class Bands;

template <class R>
struct Returned {
  static_assert(!std::is_void_v<R>, "a task of map must return a value");
  using type = std::conditional_t<std::is_void_v<R>, int, R>; // no second error behind the first
};

template <class F, class... Args>
using TaskResult = typename Returned<std::remove_cvref_t<decltype(call_task(
    std::declval<F&>(), std::declval<Worker&>(), std::declval<Args>()...))>>::type;

/// Bytes of inputs or results that a worker handles at once: they stay in the cache.
inline constexpr std::int64_t block_bytes = std::int64_t{64} * 1024;

} // namespace detail

/// A pool of workers: every thread of every rank. All calls are collective: every rank makes the
/// same calls in the same order, from the thread that made the Pool; the functions given must be
/// the same on every rank. Calls throw on every rank alike: MapError when a task threw, Error
/// lost_peer when ranks disagree or one has left.
///
/// Tasks are f(input) or f(input, Worker&). Inputs and results may be any trivially copyable type,
/// the standard containers of such, or a class with Boost.Serialization; pointers, references and
/// views are refused at compile time.
class Pool {
public:
  /// Collective over the session's job.
  /// @throws Error bad_input on every rank for options that cannot be had
  explicit Pool(const Session& session, const PoolOptions& options = {})
      : engine_(std::make_unique<detail::Engine>(Comm(session, options.comm), options)) {}
  /// Collective over `parent`, which is duplicated; boost::mpi::communicator converts to MPI_Comm.
  explicit Pool(MPI_Comm parent, const PoolOptions& options = {})
      : engine_(std::make_unique<detail::Engine>(Comm(parent, options.comm), options)) {}
  /// Collective over `comm`, which is duplicated: a Pool that ends by an exception leaves it whole.
  explicit Pool(const Comm& comm, const PoolOptions& options = {});

  [[nodiscard]] const Comm& comm() const noexcept { return engine_->comm(); }
  [[nodiscard]] const Layout& layout() const noexcept { return engine_->layout(); }
  [[nodiscard]] bool is_root() const noexcept { return comm().is_root(); }
  /// All workers of the job.
  [[nodiscard]] int workers() const noexcept { return engine_->workers().count(); }
  [[nodiscard]] const PoolOptions& options() const noexcept { return engine_->options(); }
  /// How inputs and results travel: "direct", "window" or "messages".
  [[nodiscard]] std::string data_path() const { return name(engine_->path()); }

  /// f of every input. Inputs are read at root; results at root in input order, empty elsewhere.
  /// The first failure stops the rest. Two agreements and the data: on one node each byte is
  /// copied once each way for workers outside root, not at all for root's own.
  /// @param recycled results of an earlier call that nobody needs any more, at root: flat results
  ///        get their memory where it is large enough, which saves the page faults of fresh memory
  template <class F, class T>
  auto map(F f, const std::vector<T>& inputs, const CallOptions& options = {},
           std::vector<detail::TaskResult<F, const T&>> recycled = {})
      -> std::vector<detail::TaskResult<F, const T&>>;
  /// f of every index in [0, n); n the same on every rank.
  template <class F>
  auto map(F f, std::int64_t n, const CallOptions& options = {},
           std::vector<detail::TaskResult<F, std::int64_t>> recycled = {})
      -> std::vector<detail::TaskResult<F, std::int64_t>>;
  /// f(a, b, ...) of every tuple.
  template <class F, class... T>
  auto starmap(F f, const std::vector<std::tuple<T...>>& inputs, const CallOptions& options = {})
      -> std::vector<detail::TaskResult<F, const T&...>>;
  /// map that goes on after a failure and returns what failed beside what did not.
  template <class F, class T>
  auto map_collect(F f, const std::vector<T>& inputs, const CallOptions& options = {})
      -> Outcome<detail::TaskResult<F, const T&>>;
  template <class F>
  auto map_collect(F f, std::int64_t n, const CallOptions& options = {})
      -> Outcome<detail::TaskResult<F, std::int64_t>>;
  /// map whose results stay in memory that root's node shares: nothing is copied out. Valid until
  /// the next map_view; seen by every rank of root's node when there is one node, else by root.
  /// @throws Error io when there is no room
  template <class F, Flat T>
  auto map_view(F f, const std::vector<T>& inputs)
      -> std::span<const detail::TaskResult<F, const T&>>;

  /// f of every input that source() gives, until it gives none: for inputs of unknown number, such
  /// as the lines of stdin. source() -> std::optional<T> and on_result(index, R) are called at
  /// root, inputs and results in order; what they throw, every rank throws. Inputs are taken in
  /// batches of about 0.1 s, of which one is in memory at a time.
  /// @param most_in_flight inputs in a batch at most
  /// @return the number of inputs, on every rank
  template <class F, class Source, class OnResult>
  std::int64_t stream(F f, Source source, OnResult on_result, std::int64_t most_in_flight = 65'536);

  /// Folds f(i), i in [0, n), by op: op(a, b) associative, `identity` neutral (it enters once a
  /// leaf). Each leaf is folded left to right and leaves are joined in a fixed tree: the same bits
  /// for every layout and schedule. Result on every rank. Three agreements on one node.
  template <class F, class Op, class R>
  R map_reduce(F f, std::int64_t n, Op op, R identity, LeafOptions leaves = {});
  /// The same over inputs read at root.
  template <class F, class T, class Op, class R>
  R map_reduce(F f, const std::vector<T>& inputs, Op op, R identity, LeafOptions leaves = {});
  /// The same for vectorised kernels: f(TaskRange leaf) -> partial, called exactly once per leaf.
  template <class F, class Op, class R>
  R reduce_ranges(F f, std::int64_t n, Op op, R identity, LeafOptions leaves = {});

  /// Row by row with neighbours: f(rows, in_rows, in, out, worker) is called exactly once per leaf
  /// of `grain` rows and fills `out` (rows.size() * out_width) from `in`, the rows in_rows = rows
  /// widened by the halo and clipped to the whole. Input at root, shape the same on every rank;
  /// result at root.
  template <Flat R, Flat T, class F>
  std::vector<R> map_bands(F f, const std::vector<T>& in, const BandShape& shape);
  /// The same over several grids, inputs and results of which lie one after another:
  /// f(grid, rows, in_rows, in, out, worker), with the grid's number. A task is a band here.
  template <Flat R, Flat T, class F>
  std::vector<R> map_bands(F f, const std::vector<T>& in, const std::vector<BandShape>& grids);

  /// Runs f() on root alone; its value on every rank. What it throws, every rank throws.
  template <class F>
  auto from_root(F f) -> std::remove_cvref_t<std::invoke_result_t<F&>>;
  /// Root's value for all to read: one copy a node for flat types and vectors of them, one a rank
  /// for others.
  template <Portable T>
  Shared<T> share(const T& value);

  /// Deals root's values out to the ranks in blocks of whole leaves, to stay there.
  template <Portable T>
  Distributed<T> scatter(const std::vector<T>& values, LeafOptions leaves = {});
  /// The leaves that a rank holds of what scatter() deals out: for a Distributed whose values each
  /// rank makes itself, or reads. Local.
  [[nodiscard]] TaskRange leaves_of(const Leaves& leaves, int rank) const;
  /// The values at root in order; empty elsewhere.
  template <Portable T>
  std::vector<T> gather(const Distributed<T>& values);
  /// f of every value where it lies; nothing travels.
  template <class F, class T>
  auto map(F f, const Distributed<T>& values) -> Distributed<detail::TaskResult<F, const T&>>;
  /// Folds f(value) over all values; bits as in map_reduce over the same leaves.
  template <class F, class T, class Op, class R>
  R map_reduce(F f, const Distributed<T>& values, Op op, R identity);
  /// f(leaf, values of the leaf) -> partial, called exactly once per leaf where it lies.
  template <class F, class T, class Op, class R>
  R reduce_ranges(F f, const Distributed<T>& values, Op op, R identity);

  /// What map, starmap, map_collect, map_bands and the reductions over indices and root's inputs
  /// complete is kept in `checkpoint` from now on; of calls that an earlier launch has begun, what
  /// it has kept is not computed again. What lies in Distributed is not kept: see save(). Local, on
  /// every rank alike. @param checkpoint outlives the Pool; null: none
  void keep_in(Checkpoint* checkpoint) noexcept { engine_->keep_in(checkpoint); }
  /// The longest task that a worker of this node has ended so far. Local, thread-safe.
  [[nodiscard]] std::chrono::nanoseconds longest_task() const noexcept {
    return engine_->longest_task();
  }
  /// Keeps a state, from which this repetition can be gone on with, in the checkpoint, at most ten
  /// times a second. @param make gives it: asked at root, and when one is due
  template <class Make>
  void save(Make make);
  /// The state that an earlier launch saved last in this repetition, on every rank; the calls that
  /// follow have the numbers, hence the random numbers, that they had after it was saved.
  /// Collective; the first call of a repetition. Calls made only after a resume shift the numbers
  /// of those behind them: they must not be of kinds that are kept.
  template <Portable T>
  [[nodiscard]] std::optional<T> saved();
  /// Calls work(), which all ranks start together, as one repetition of a run: complete at root,
  /// whose Timings keep it, unless work() throws. Collective.
  Repetition measure(const std::function<void()>& work);
  /// Chunks since the last call, at root, when options().trace. Collective.
  [[nodiscard]] std::vector<TraceRow> take_trace() { return engine_->take_trace(); }
  /// What is known of this launch, and the repetitions so far (at root).
  [[nodiscard]] const Timings& timings() const noexcept { return engine_->timings(); }

private:
  friend class Executor;
  template <class Out, class In, class F>
  std::vector<TaskFailure> run_map(Out& out, In& in, F& f, const detail::CallForm& form,
                                   std::int64_t tasks, bool collect, const CallOptions& options);
  template <class Out, class In, class F>
  std::vector<TaskFailure> compute_map(Out& out, In& in, F& f, const detail::RootPart& root,
                                       bool collect, const CallOptions& options);
  template <class In, class R, class Op, class Fold>
  void compute_leaves(In& in, const detail::RootPart& root, const Leaves& leaves,
                      std::vector<LeafTree<R, Op>>& trees, Op& op, Fold& fold);
  template <class In, class R, class Op, class Fold>
  R run_reduce(In& in, const detail::CallForm& form, std::int64_t tasks, Op op, R identity,
               LeafOptions options, Fold fold);
  template <class R, class T, class OfBand>
  std::vector<R> run_bands(const detail::CallForm& form, const detail::Bands& bands,
                           const Leaves& leaves, const std::vector<T>& in, OfBand of_band);
  template <class R, class T, class OfBand>
  void compute_bands(const detail::Bands& bands, const Leaves& leaves, const detail::RootPart& root,
                     const std::vector<T>& in, detail::Fresh<R>& result, OfBand& of_band);
  template <class R, class Op, class Fold>
  R run_reduce_own(const detail::CallForm& form, const Leaves& leaves, TaskRange own, Op op,
                   R identity, Fold fold);
  template <class R, class Op>
  R join_trees(std::vector<LeafTree<R, Op>>& trees, Op op, R identity);

  std::unique_ptr<detail::Engine> engine_;
};

} // namespace cleave

#include "cleave/pool_bands.hpp"
#include "cleave/pool_distributed.hpp"
#include "cleave/pool_map.hpp"
#include "cleave/pool_reduce.hpp"
#include "cleave/pool_share.hpp"
#include "cleave/pool_stream.hpp"
