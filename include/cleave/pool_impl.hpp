/// @file
/// The templates of Pool; included by pool.hpp alone.
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

/// Brings inputs to the ranks. When an item cannot be archived, every rank throws MapError.
template <class In>
void feed(Engine& engine, In& in, const Route& route, const RootPart& root, const PartOf& part_of) {
  if constexpr (In::archived) {
    engine.attempt([&] { in.begin(route, root, part_of); });
    engine.join_or_throw();
  } else {
    in.begin(route, root, part_of);
  }
}

/// Computes one block; when its data cannot be moved, all of its tasks have failed.
template <class In, class Out, class F>
void map_block(Engine& engine, In& in, Out& out, F& f, Worker& worker, TaskRange block,
               bool collect) {
  try {
    const auto items = in.view(worker.thread(), block);
    const auto results = out.view(worker.thread(), block);
    engine.each(worker, block, collect, [&](std::int64_t i) {
      worker.begin_task(i);
      results[i] = call_task(f, worker, items[i]);
    });
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
    engine.attempt([&] { out.pack(); });
  std::vector<TaskFailure> failures = engine.join();
  if (!failures.empty() && !collect)
    return failures;
  if constexpr (Out::archived) {
    engine.attempt([&] { out.finish(); });
    engine.join_or_throw();
  } else {
    out.finish();
  }
  return failures;
}

} // namespace detail

template <class Out, class In, class F>
std::vector<TaskFailure> Pool::run_map(Out& out, In& in, F& f, const detail::CallForm& form,
                                       std::int64_t tasks, bool collect) {
  detail::Engine& engine = *engine_;
  const detail::RootPart root = engine.open(form, [&] {
    return detail::RootPart{tasks, in.address(), out.allocate(tasks)};
  });
  if (root.tasks == 0) {
    engine.close();
    return {};
  }
  const ChunkSequence sequence = engine.sequence(root.tasks);
  const Route route = engine.route(sequence);
  detail::feed(engine, in, route, root, detail::tasks_as_part);
  out.begin(route, root, detail::tasks_as_part);
  engine.compute(sequence, Leaves(root.tasks, 1, root.tasks), [&](Worker& worker, TaskRange chunk) {
    in.enter(worker.thread(), chunk);
    out.enter(worker.thread(), chunk);
    detail::for_blocks(chunk, std::max(In::item_bytes, Out::item_bytes), [&](TaskRange block) {
      if (collect || !engine.stopped())
        detail::map_block(engine, in, out, f, worker, block, collect);
    });
  });
  std::vector<TaskFailure> failures = detail::collect_results(engine, out, collect);
  engine.count_bytes(in.bytes_moved(), out.bytes_moved());
  engine.close();
  if (!failures.empty() && !collect)
    throw MapError(std::move(failures));
  return failures;
}

template <class F, class T>
auto Pool::map(F f, const std::vector<T>& inputs) -> std::vector<detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  static_assert(Portable<T> && Portable<R>,
                "inputs and results travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  detail::Results<R> out;
  const detail::CallForm form{"map", detail::type_mark<F, T, R>()};
  run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), false);
  return out.take();
}

template <class F>
auto Pool::map(F f, std::int64_t n) -> std::vector<detail::TaskResult<F, std::int64_t>> {
  using R = detail::TaskResult<F, std::int64_t>;
  static_assert(Portable<R>, "results travel between ranks: no pointers, references or views");
  detail::Indices in;
  detail::Results<R> out;
  const detail::CallForm form{"map", detail::type_mark<F, R>(), n};
  run_map(out, in, f, form, n, false);
  return out.take();
}

template <class F, class... T>
auto Pool::starmap(F f, const std::vector<std::tuple<T...>>& inputs)
    -> std::vector<detail::TaskResult<F, const T&...>> {
  return map(
      [f](const std::tuple<T...>& input, Worker& worker) mutable {
        return std::apply([&](const T&... args) { return detail::call_task(f, worker, args...); },
                          input);
      },
      inputs);
}

template <class F, class T>
auto Pool::map_collect(F f, const std::vector<T>& inputs)
    -> Outcome<detail::TaskResult<F, const T&>> {
  using R = detail::TaskResult<F, const T&>;
  static_assert(Portable<T> && Portable<R>,
                "inputs and results travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  detail::Results<R> out;
  const detail::CallForm form{"map_collect", detail::type_mark<F, T, R>()};
  auto failures = run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), true);
  return {out.take_with(failures), failures};
}

template <class F>
auto Pool::map_collect(F f, std::int64_t n) -> Outcome<detail::TaskResult<F, std::int64_t>> {
  using R = detail::TaskResult<F, std::int64_t>;
  static_assert(Portable<R>, "results travel between ranks: no pointers, references or views");
  detail::Indices in;
  detail::Results<R> out;
  const detail::CallForm form{"map_collect", detail::type_mark<F, R>(), n};
  auto failures = run_map(out, in, f, form, n, true);
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
  run_map(out, in, f, form, static_cast<std::int64_t>(inputs.size()), false);
  return out.seen();
}

namespace detail {

/// One leaf of a reduction.
struct LeafTasks {
  std::int64_t leaf;
  TaskRange tasks;
};

/// Folds a leaf and adds it to the tree; what that throws is a failure of the leaf's first task.
template <class R, class Op, class Fold>
void add_leaf(Engine& engine, Worker& worker, LeafTree<R, Op>& tree, LeafTasks at, Fold fold) {
  try {
    if (std::optional<R> partial = fold())
      tree.add({at.leaf, 0, std::move(*partial)});
  } catch (...) {
    engine.fail(worker, at.tasks.first, std::current_exception());
  }
}

/// What a rank's workers have, joined as far as it goes.
template <class R, class Op>
[[nodiscard]] std::vector<std::byte> pack_trees(std::vector<LeafTree<R, Op>>& trees, Op& op) {
  std::vector<Subtree<R>> nodes;
  for (LeafTree<R, Op>& tree : trees)
    std::ranges::move(tree.take(), std::back_inserter(nodes));
  Packer packer;
  for (Subtree<R>& node : merged(std::move(nodes), op).take()) {
    packer.put(node.first);
    packer.put(node.level);
    packer.put(node.value);
  }
  return packer.take();
}

} // namespace detail

template <class R, class Op>
R Pool::join_trees(std::vector<LeafTree<R, Op>>& trees, Op op, R identity) {
  detail::Engine& engine = *engine_;
  std::vector<std::byte> mine;
  engine.attempt([&] { mine = detail::pack_trees(trees, op); });
  engine.join_or_throw();
  std::vector<Subtree<R>> all;
  for (const auto& blob : engine.exchange(mine))
    for (Unpacker from(blob); !from.empty();) {
      const auto first = from.get<std::int64_t>();
      const auto level = from.get<std::int32_t>();
      all.push_back({first, level, from.get<R>()});
    }
  engine.close();
  try {
    return merged(std::move(all), op).finish(std::move(identity));
  } catch (...) { // on every rank alike: all join the same subtrees
    throw MapError({engine.failure_of(Worker(0, 0, 0), 0, std::current_exception())});
  }
}

namespace detail {

/// Ranks must agree on the leaves, which decide the bits.
[[nodiscard]] inline CallForm with_leaves(CallForm form, const LeafOptions& leaves) {
  if (leaves.grain < 1 || leaves.max_leaves < 1)
    throw Error(ErrorKind::bad_input, "a grain and a number of leaves are at least 1");
  for (const std::int64_t part : {leaves.grain, leaves.max_leaves})
    form.type = form.type * 31 + static_cast<std::size_t>(part);
  return form;
}

} // namespace detail

template <class In, class R, class Op, class Fold>
R Pool::run_reduce(In& in, const detail::CallForm& form, std::int64_t tasks, Op op, R identity,
                   LeafOptions options, Fold fold) {
  static_assert(Portable<R>, "partial results travel between ranks: no pointers or views");
  detail::Engine& engine = *engine_;
  const detail::RootPart root = engine.open(detail::with_leaves(form, options), [&] {
    return detail::RootPart{tasks, in.address(), 0};
  });
  if (root.tasks == 0) {
    engine.close();
    return identity;
  }
  const Leaves leaves(root.tasks, options.grain, options.max_leaves);
  const ChunkSequence sequence = engine.sequence(leaves.count());
  detail::feed(engine, in, engine.route(sequence), root, [&leaves](TaskRange chunk) {
    const std::int64_t first = leaves.tasks_of(chunk.first).first;
    return Part{first, leaves.tasks_of(chunk.last - 1).last - first};
  });
  std::vector<LeafTree<R, Op>> trees(static_cast<std::size_t>(engine.threads()),
                                     LeafTree<R, Op>(op));
  engine.compute(sequence, leaves, [&](Worker& worker, TaskRange chunk) {
    LeafTree<R, Op> tree(op); // of this chunk, on this thread's own stack
    in.enter(worker.thread(), chunk);
    engine.each(worker, chunk, false, [&](std::int64_t leaf) {
      const TaskRange range = leaves.tasks_of(leaf);
      detail::add_leaf(engine, worker, tree, {leaf, range},
                       [&] { return fold(worker, range, in.view(worker.thread(), range)); });
    });
    for (Subtree<R>& node : tree.take())
      trees[static_cast<std::size_t>(worker.thread())].add(std::move(node));
  });
  engine.count_bytes(in.bytes_moved(), 0);
  return join_trees(trees, op, std::move(identity));
}

namespace detail {

/// Folds one leaf left to right; nothing when a task threw.
template <class R, class F, class Op, class Items>
std::optional<R> fold_leaf(Engine& engine, F& f, Op& op, const R& identity, Worker& worker,
                           TaskRange range, const Items& items) {
  R all = identity;
  std::int64_t i = range.first;
  try {
    for (; i < range.last; ++i) {
      worker.begin_task(i);
      all = op(std::move(all), call_task(f, worker, items[i]));
    }
  } catch (...) {
    engine.fail(worker, i, std::current_exception());
    return std::nullopt;
  }
  return all;
}

/// One call for a whole leaf; nothing when it threw.
template <class R, class F, class... Args>
std::optional<R> call_leaf(Engine& engine, F& f, Worker& worker, TaskRange range, Args&&... args) {
  worker.begin_task(range.first);
  try {
    return call_task(f, worker, range, std::forward<Args>(args)...);
  } catch (...) {
    engine.fail(worker, range.first, std::current_exception());
    return std::nullopt;
  }
}

} // namespace detail

template <class F, class Op, class R>
R Pool::map_reduce(F f, std::int64_t n, Op op, R identity, LeafOptions leaves) {
  detail::Indices in;
  return run_reduce(in, {"map_reduce", detail::type_mark<F, Op, R>(), n}, n, op, identity, leaves,
                    [&](Worker& worker, TaskRange range, const auto& items) {
                      return detail::fold_leaf(*engine_, f, op, identity, worker, range, items);
                    });
}

template <class F, class T, class Op, class R>
R Pool::map_reduce(F f, const std::vector<T>& inputs, Op op, R identity, LeafOptions leaves) {
  static_assert(Portable<T>, "inputs travel between ranks: no pointers, references or views");
  detail::Inputs<T> in(inputs);
  return run_reduce(in, {"map_reduce", detail::type_mark<F, T, Op, R>()},
                    static_cast<std::int64_t>(inputs.size()), op, identity, leaves,
                    [&](Worker& worker, TaskRange range, const auto& items) {
                      return detail::fold_leaf(*engine_, f, op, identity, worker, range, items);
                    });
}

template <class F, class Op, class R>
R Pool::reduce_ranges(F f, std::int64_t n, Op op, R identity, LeafOptions leaves) {
  detail::Indices in;
  return run_reduce(in, {"reduce_ranges", detail::type_mark<F, Op, R>(), n}, n, op,
                    std::move(identity), leaves, [&](Worker& worker, TaskRange range, const auto&) {
                      return detail::call_leaf<R>(*engine_, f, worker, range);
                    });
}

namespace detail {

/// Ranks must agree on all of the shape.
[[nodiscard]] inline CallForm with_shape(std::size_t type, const BandShape& shape) {
  if (std::min({shape.rows, shape.in_width, shape.out_width, shape.halo}) < 0 || shape.grain < 1)
    throw Error(ErrorKind::bad_input, "map_bands: rows, widths and halo are not negative, and the "
                                      "grain is at least 1");
  for (const std::int64_t part : {shape.in_width, shape.out_width, shape.halo, shape.grain})
    type = type * 31 + static_cast<std::size_t>(part);
  return {"map_bands", type, shape.rows};
}

} // namespace detail

template <Flat R, Flat T, class F>
std::vector<R> Pool::map_bands(F f, const std::vector<T>& in, const BandShape& shape) {
  detail::Engine& engine = *engine_;
  const detail::CallForm form = detail::with_shape(detail::type_mark<F, R, T>(), shape);
  const Leaves leaves(shape.rows, shape.grain, std::max(shape.rows, std::int64_t{1}));
  const auto widened = [&shape](TaskRange rows) {
    return TaskRange{std::max(rows.first - shape.halo, std::int64_t{0}),
                     std::min(rows.last + shape.halo, shape.rows)};
  };
  const auto rows_of = [&leaves](TaskRange chunk) {
    return TaskRange{leaves.tasks_of(chunk.first).first, leaves.tasks_of(chunk.last - 1).last};
  };
  const auto elements = [](TaskRange rows, std::int64_t width) {
    return Part{rows.first * width, rows.size() * width};
  };
  std::vector<R> result;
  const detail::RootPart root = engine.open(form, [&] {
    if (std::ssize(in) != shape.rows * shape.in_width)
      throw Error(ErrorKind::bad_input, "map_bands: the input has " + std::to_string(in.size()) +
                                            " elements, its shape " +
                                            std::to_string(shape.rows * shape.in_width));
    result = detail::fresh<R>(shape.rows * shape.out_width);
    return detail::RootPart{shape.rows, std::bit_cast<std::uint64_t>(in.data()),
                            std::bit_cast<std::uint64_t>(result.data())};
  });
  if (root.tasks == 0) {
    engine.close();
    return result;
  }
  const ChunkSequence sequence = engine.sequence(leaves.count());
  const Route route = engine.route(sequence);
  const auto root_bytes =
      engine.comm().is_root() ? std::as_bytes(std::span(in)) : std::span<const std::byte>();
  Feed feed(route, root_bytes, root.inputs, shape.rows * shape.in_width, sizeof(T),
            [&](TaskRange chunk) { return elements(widened(rows_of(chunk)), shape.in_width); });
  Sink sink(route, std::as_writable_bytes(std::span(result)), root.results,
            shape.rows * shape.out_width, sizeof(R),
            [&](TaskRange chunk) { return elements(rows_of(chunk), shape.out_width); });
  engine.compute(sequence, leaves, [&](Worker& worker, TaskRange chunk) {
    feed.enter(worker.thread(), chunk);
    sink.enter(worker.thread(), chunk);
    engine.each(worker, chunk, false, [&](std::int64_t leaf) {
      const TaskRange rows = leaves.tasks_of(leaf);
      const TaskRange in_rows = widened(rows);
      const Part from = elements(in_rows, shape.in_width);
      const Part to = elements(rows, shape.out_width);
      const std::span read(reinterpret_cast<const T*>(feed.read(worker.thread(), from)),
                           static_cast<std::size_t>(from.count));
      const std::span written(reinterpret_cast<R*>(sink.place(worker.thread(), to)),
                              static_cast<std::size_t>(to.count));
      worker.begin_task(rows.first);
      try {
        f(rows, in_rows, read, written, worker);
      } catch (...) {
        return engine.fail(worker, rows.first, std::current_exception());
      }
      sink.commit(worker.thread(), to);
    });
  });
  engine.join_or_throw();
  sink.finish();
  engine.count_bytes(feed.bytes_moved(), sink.bytes_moved());
  engine.close();
  return result;
}

template <class F>
auto Pool::from_root(F f) -> std::remove_cvref_t<std::invoke_result_t<F&>> {
  using R = std::remove_cvref_t<std::invoke_result_t<F&>>;
  detail::Engine& engine = *engine_;
  const detail::CallForm form{"from_root", detail::type_mark<F, R>()};
  if constexpr (std::is_void_v<R>) {
    engine.open(form, [&] {
      f();
      return detail::RootPart{};
    });
    engine.close();
  } else {
    static_assert(Portable<R>, "the value travels to the other ranks: no pointers or views");
    std::optional<R> value;
    std::string bytes;
    engine.open(form, [&] {
      value.emplace(f());
      Packer packer;
      packer.put(*value);
      bytes.assign(reinterpret_cast<const char*>(packer.bytes().data()), packer.bytes().size());
      return detail::RootPart{};
    });
    bytes = comm().broadcast(std::move(bytes));
    engine.close();
    if (value)
      return std::move(*value);
    return Unpacker(std::as_bytes(std::span(bytes))).template get<R>();
  }
}

namespace detail {

/// Root's bytes in a fresh window of every node. Collective.
[[nodiscard]] NodeWindow share_bytes(Engine& engine, std::size_t type,
                                     std::span<const std::byte> bytes, std::int64_t& count);

template <class T>
struct IsFlatVector : std::false_type {};
template <Flat T>
struct IsFlatVector<std::vector<T>> : std::bool_constant<!std::same_as<T, bool>> {};

} // namespace detail

template <Portable T>
Shared<T> Pool::share(const T& value) {
  std::int64_t bytes = 0;
  if constexpr (detail::IsFlatVector<T>::value) {
    const NodeWindow window = detail::share_bytes(*engine_, detail::type_mark<T>(),
                                                  std::as_bytes(std::span(value)), bytes);
    return Shared<T>(window, bytes / static_cast<std::int64_t>(sizeof(typename T::value_type)));
  } else if constexpr (Flat<T>) {
    return Shared<T>(detail::share_bytes(*engine_, detail::type_mark<T>(),
                                         std::as_bytes(std::span(&value, 1)), bytes));
  } else {
    return Shared<T>(from_root([&value] { return value; }));
  }
}

} // namespace cleave

#include "cleave/pool_distributed.hpp"
