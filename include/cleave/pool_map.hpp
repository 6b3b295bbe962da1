/// @file
/// The templates of Pool that map; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"

#include <algorithm>

namespace cleave {

namespace detail {

/// Splits a chunk into blocks whose items fit the cache.
template <class Visit>
void for_blocks(TaskRange chunk, std::int64_t item_bytes, Visit visit) {
  const std::int64_t size = std::max(std::int64_t{1}, block_bytes / item_bytes);
  for (std::int64_t first = chunk.first; first < chunk.last; first += size)
    visit(TaskRange{first, std::min(chunk.last, first + size)});
}

inline Part tasks_as_part(TaskRange tasks) {
  return {tasks.first, tasks.size()};
}

} // namespace detail

namespace detail {

/// Calls work() until it does not throw, `retries` times more than once at most.
template <class Work>
void persist(int retries, Work work) {
  for (;; --retries)
    try {
      return work();
    } catch (...) {
      if (retries <= 0)
        throw;
    }
}

/// Computes one block; when its data cannot be moved, all of its tasks have failed.
template <class In, class Out, class F>
void map_block(Engine& engine, In& in, Out& out, F& f, Worker& worker, TaskRange block,
               bool collect, int retries) {
  try {
    const auto items = in.view(worker.thread(), block);
    const auto results = out.view(worker.thread(), block);
    const auto keep = [&](TaskRange done) {
      if (engine.keeps())
        out.keep(engine, results, done);
    };
    if (retries == 0 && worker.watch() == nullptr) // a task of 1 ns must not pay for the rest
      engine.each(
          worker, block, collect,
          [&](std::int64_t i) {
            worker.begin_task(i);
            results[i] = call_task(f, worker, items[i]);
          },
          keep);
    else
      engine.each(
          worker, block, collect,
          [&](std::int64_t i) {
            persist(retries, [&] {
              results[i] = run_task(
                  worker, i, [&]() -> decltype(auto) { return call_task(f, worker, items[i]); });
            });
          },
          keep);
    out.commit(worker.thread(), block);
  } catch (...) {
    for (std::int64_t i = block.first; i < block.last; ++i)
      engine.fail(worker, i, std::current_exception(), !collect);
  }
}

/// Takes results to root. @return failures, the same on every rank
template <class Out>
std::vector<TaskFailure> collect_results(Engine& engine, Out& out, bool collect) {
  if constexpr (Out::archived)
    if (!collect)
      engine.attempt([&] { out.pack(); });
  std::vector<TaskFailure> failures = engine.join();
  if (!failures.empty() && (!collect || engine.broken_off()))
    return failures;
  if constexpr (Out::archived) {
    if (collect) { // a result that cannot be archived is no task's failure
      engine.attempt([&] { out.pack(); });
      engine.join_or_throw();
    }
    engine.attempt([&] { out.finish(); });
    engine.join_or_throw();
  } else {
    out.finish();
  }
  return failures;
}

/// Ranks must agree on the schedule of a call.
[[nodiscard]] inline CallForm with_options(CallForm form, const CallOptions& options) {
  if (options.schedule)
    form.type = form.type * 31 + std::hash<std::string>()(options.schedule->text());
  return form;
}

/// The order of the chunks, where costs are told.
[[nodiscard]] inline std::vector<TaskRange> chunks_for(const Engine& engine, std::int64_t tasks,
                                                       const CallOptions& options) {
  if (!options.cost)
    return {};
  return chunks_by_cost(tasks, engine.workers().count(), options.cost);
}

} // namespace detail

template <class Out, class In, class F>
std::vector<TaskFailure> Pool::run_map(Out& out, In& in, F& f, const detail::CallForm& form,
                                       std::int64_t tasks, bool collect,
                                       const CallOptions& options) {
  detail::Engine& engine = *engine_;
  const detail::RootPart root = engine.open(detail::with_options(form, options), [&] {
    return detail::RootPart{tasks, in.address(), out.allocate(tasks),
                            detail::chunks_for(engine, tasks, options)};
  });
  if (root.tasks == 0) {
    engine.close();
    return {};
  }
  std::vector<TaskFailure> failures;
  if (!engine.all_kept())
    failures = compute_map(out, in, f, root, collect, options);
  const bool failed = !failures.empty() && (!collect || engine.broken_off());
  if (engine.goes_on() && !failed) {
    engine.restore(
        [&](TaskRange tasks, std::span<const std::byte> bytes) { out.restore(tasks, bytes); });
    engine.join_or_throw();
  }
  engine.close();
  if (failed)
    throw MapError(std::move(failures));
  return failures;
}

/// What is not kept already. @return failures, the same on every rank
template <class Out, class In, class F>
std::vector<TaskFailure> Pool::compute_map(Out& out, In& in, F& f, const detail::RootPart& root,
                                           bool collect, const CallOptions& options) {
  detail::Engine& engine = *engine_;
  engine.time_out_after(options.timeout.value_or(engine.options().timeout));
  const ChunkSequence sequence = engine.sequence(root.tasks, options.schedule);
  const Route route = engine.route(sequence, root, std::max(In::item_bytes, Out::item_bytes));
  detail::feed(engine, in, route, root, detail::tasks_as_part);
  out.begin(route, root, detail::tasks_as_part);
  engine.compute(
      sequence, root, Leaves(root.tasks, 1, root.tasks), [&](Worker& worker, TaskRange chunk) {
        in.enter(worker.thread(), chunk);
        out.enter(worker.thread(), chunk);
        detail::for_blocks(chunk, std::max(In::item_bytes, Out::item_bytes), [&](TaskRange block) {
          if (!engine.stopped())
            detail::map_block(engine, in, out, f, worker, block, collect, options.retries);
        });
      });
  std::vector<TaskFailure> failures = detail::collect_results(engine, out, collect);
  engine.count_bytes(in.bytes_moved(), out.bytes_moved());
  return failures;
}

template <class F, class T>
auto Pool::map(F f, const std::vector<T>& inputs, const CallOptions& options,
               std::vector<detail::TaskResult<F, const T&>> recycled)
    -> std::vector<detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  static_assert(Portable<T> && Portable<R>,
                "inputs and results travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  detail::Results<R> out;
  out.recycle(std::move(recycled));
  const detail::CallForm form{
      .verb = "map", .type = detail::type_mark<F, T, R>(), .kept = options.keep};
  run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), false, options);
  return out.take();
}

template <class F>
auto Pool::map(F f, std::int64_t n, const CallOptions& options,
               std::vector<detail::TaskResult<F, std::int64_t>> recycled)
    -> std::vector<detail::TaskResult<F, std::int64_t>> {
  using R = detail::TaskResult<F, std::int64_t>;
  static_assert(Portable<R>, "results travel between ranks: no pointers, references or views");
  detail::Indices in;
  detail::Results<R> out;
  out.recycle(std::move(recycled));
  const detail::CallForm form{"map", detail::type_mark<F, R>(), n, options.keep};
  run_map(out, in, f, form, n, false, options);
  return out.take();
}

template <class F, class... T>
auto Pool::starmap(F f, const std::vector<std::tuple<T...>>& inputs, const CallOptions& options)
    -> std::vector<detail::TaskResult<F, const T&...>> {
  return map(
      [f](const std::tuple<T...>& input, Worker& worker) mutable {
        return std::apply([&](const T&... args) { return detail::call_task(f, worker, args...); },
                          input);
      },
      inputs, options);
}

template <class F, class T>
auto Pool::map_collect(F f, const std::vector<T>& inputs, const CallOptions& options)
    -> Outcome<detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  static_assert(Portable<T> && Portable<R>,
                "inputs and results travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  detail::Results<R> out;
  const detail::CallForm form{
      .verb = "map_collect", .type = detail::type_mark<F, T, R>(), .kept = options.keep};
  auto failures =
      run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), true, options);
  return {out.take_with(failures), failures};
}

template <class F>
auto Pool::map_collect(F f, std::int64_t n, const CallOptions& options)
    -> Outcome<detail::TaskResult<F, std::int64_t>> {
  using R = detail::TaskResult<F, std::int64_t>;
  static_assert(Portable<R>, "results travel between ranks: no pointers, references or views");
  detail::Indices in;
  detail::Results<R> out;
  const detail::CallForm form{"map_collect", detail::type_mark<F, R>(), n, options.keep};
  auto failures = run_map(out, in, f, form, n, true, options);
  return {out.take_with(failures), failures};
}

namespace detail {

/// Results that stay in the node's view window.
template <class R>
class ViewResults : public FlatResults<R> {
public:
  [[nodiscard]] std::uint64_t allocate(std::int64_t) { return 0; }
  void begin(Route route, const RootPart& root, const PartOf& part_of) {
    const auto window =
        route.windows.get(WindowPool::view, root.tasks * FlatResults<R>::item_bytes);
    const bool one_node = route.comm.nodes() == 1;
    if (one_node)
      route.path = DataPath::window;
    this->start(route, one_node || !route.comm.is_root() ? std::span<std::byte>() : window, root,
                part_of, WindowPool::view);
    seen_ = one_node || route.comm.is_root() ? window : std::span<std::byte>();
  }
  [[nodiscard]] std::span<const R> seen() const {
    return {reinterpret_cast<const R*>(seen_.data()), seen_.size() / sizeof(R)};
  }

private:
  std::span<const std::byte> seen_;
};

} // namespace detail

template <class F, Flat T>
auto Pool::map_view(F f, const std::vector<T>& inputs)
    -> std::span<const detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  static_assert(Flat<R>, "results of map_view lie in shared memory: trivially copyable types only");
  detail::Inputs<T> in(inputs);
  detail::ViewResults<R> out;
  const detail::CallForm form{"map_view", detail::type_mark<F, T, R>()};
  run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), false, {});
  return out.seen();
}

} // namespace cleave
