/// @file
/// The templates of Pool that map rows with their neighbours; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"

#include <algorithm>

namespace cleave {

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
  detail::Fresh<R> result;
  const detail::RootPart root = engine.open(form, [&] {
    if (std::ssize(in) != shape.rows * shape.in_width)
      throw Error(ErrorKind::bad_input, "map_bands: the input has " + std::to_string(in.size()) +
                                            " elements, its shape " +
                                            std::to_string(shape.rows * shape.in_width));
    result.allocate(shape.rows * shape.out_width);
    return detail::RootPart{shape.rows, std::bit_cast<std::uint64_t>(in.data()),
                            std::bit_cast<std::uint64_t>(result.span().data())};
  });
  if (root.tasks == 0) {
    engine.close();
    return result.take();
  }
  const ChunkSequence sequence = engine.sequence(leaves.count());
  const Route route =
      engine.route(sequence, root, shape.out_width * static_cast<std::int64_t>(sizeof(R)));
  const auto root_bytes =
      engine.comm().is_root() ? std::as_bytes(std::span(in)) : std::span<const std::byte>();
  Feed feed(route, root_bytes, root.inputs, shape.rows * shape.in_width, sizeof(T),
            [&](TaskRange chunk) { return elements(widened(rows_of(chunk)), shape.in_width); });
  Sink sink(route, std::as_writable_bytes(result.span()), root.results,
            shape.rows * shape.out_width, sizeof(R),
            [&](TaskRange chunk) { return elements(rows_of(chunk), shape.out_width); });
  engine.compute(sequence, root, leaves, [&](Worker& worker, TaskRange chunk) {
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
      try {
        detail::run_task(worker, rows.first, [&] {
          f(rows, in_rows, read, written, worker);
          return true;
        });
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
  return result.take();
}

} // namespace cleave
