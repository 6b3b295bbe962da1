/// @file
/// The templates of Pool that map rows with their neighbours; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"

#include <algorithm>
#include <span>
#include <vector>

namespace cleave {

namespace detail {

/// Grids that lie one after another, each cut into bands of `grain` rows.
class Bands {
public:
  struct Band {
    std::int64_t grid = 0;
    TaskRange rows;    ///< of the grid
    TaskRange in_rows; ///< widened by the halo, clipped to the grid
    Part in;           ///< of all grids' inputs
    Part out;          ///< of all grids' results
  };

  /// @throws Error bad_input for negative sizes or a grain below 1
  explicit Bands(std::span<const BandShape> grids);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  /// Elements of all inputs, of all results.
  [[nodiscard]] std::int64_t in_size() const noexcept { return in_size_; }
  [[nodiscard]] std::int64_t out_size() const noexcept { return out_size_; }
  /// The widest row of a result, in elements.
  [[nodiscard]] std::int64_t widest() const noexcept;
  /// Differs, most likely, between other shapes.
  [[nodiscard]] std::size_t mark() const noexcept;
  [[nodiscard]] Band at(std::int64_t band) const noexcept;
  /// What bands [first, last) read and write together. @pre not empty
  [[nodiscard]] Part in_of(TaskRange bands) const noexcept;
  [[nodiscard]] Part out_of(TaskRange bands) const noexcept;

private:
  struct Grid {
    BandShape shape;
    Leaves leaves;
    std::int64_t first_band, first_in, first_out;
  };
  std::vector<Grid> grids_;
  std::int64_t count_ = 0;
  std::int64_t in_size_ = 0;
  std::int64_t out_size_ = 0;
};

} // namespace detail

template <Flat R, Flat T, class F>
std::vector<R> Pool::map_bands(F f, const std::vector<T>& in, const BandShape& shape) {
  const detail::Bands bands(std::span(&shape, 1));
  return run_bands<R>(
      {"map_bands", detail::type_mark<F, R, T>() * 31 + bands.mark(), shape.rows, true}, bands,
      Leaves(shape.rows, shape.grain, std::max(shape.rows, std::int64_t{1})), in,
      [&f](const detail::Bands::Band& band, std::span<const T> read, std::span<R> written,
           Worker& worker) { f(band.rows, band.in_rows, read, written, worker); });
}

template <Flat R, Flat T, class F>
std::vector<R> Pool::map_bands(F f, const std::vector<T>& in, const std::vector<BandShape>& grids) {
  const detail::Bands bands(grids);
  return run_bands<R>(
      {"map_bands of grids", detail::type_mark<F, R, T>() * 31 + bands.mark(), bands.count(), true},
      bands, Leaves(bands.count(), 1, std::max(bands.count(), std::int64_t{1})), in,
      [&f](const detail::Bands::Band& band, std::span<const T> read, std::span<R> written,
           Worker& worker) { f(band.grid, band.rows, band.in_rows, read, written, worker); });
}

/// @param leaves one a band; its tasks are what failures and traces name
template <class R, class T, class OfBand>
std::vector<R> Pool::run_bands(const detail::CallForm& form, const detail::Bands& bands,
                               const Leaves& leaves, const std::vector<T>& in, OfBand of_band) {
  detail::Engine& engine = *engine_;
  detail::Fresh<R> result;
  const detail::RootPart root = engine.open(form, [&] {
    if (std::ssize(in) != bands.in_size())
      throw Error(ErrorKind::bad_input, "map_bands: the input has " + std::to_string(in.size()) +
                                            " elements, its shape " +
                                            std::to_string(bands.in_size()));
    result.allocate(bands.out_size());
    return detail::RootPart{.tasks = leaves.tasks(),
                            .inputs = std::bit_cast<std::uint64_t>(in.data()),
                            .results = std::bit_cast<std::uint64_t>(result.span().data()),
                            .units = bands.count()};
  });
  if (root.tasks == 0) {
    engine.close();
    return result.take();
  }
  if (!engine.all_kept())
    compute_bands(bands, leaves, root, in, result, of_band);
  if (engine.goes_on()) {
    engine.restore([&](TaskRange band, std::span<const std::byte> bytes) {
      const Part out = bands.out_of(band);
      const auto to = std::as_writable_bytes(result.span().subspan(
          static_cast<std::size_t>(out.first), static_cast<std::size_t>(out.count)));
      detail::require_length(bytes, to.size());
      std::ranges::copy(bytes, to.begin());
    });
    engine.join_or_throw();
  }
  engine.close();
  return result.take();
}

template <class R, class T, class OfBand>
void Pool::compute_bands(const detail::Bands& bands, const Leaves& leaves,
                         const detail::RootPart& root, const std::vector<T>& in,
                         detail::Fresh<R>& result, OfBand& of_band) {
  detail::Engine& engine = *engine_;
  const ChunkSequence sequence = engine.sequence(bands.count());
  const Route route =
      engine.route(sequence, root, bands.widest() * static_cast<std::int64_t>(sizeof(R)));
  const auto root_bytes =
      engine.comm().is_root() ? std::as_bytes(std::span(in)) : std::span<const std::byte>();
  Feed feed(route, root_bytes, root.inputs, bands.in_size(), sizeof(T),
            [&](TaskRange chunk) { return bands.in_of(chunk); });
  Sink sink(route, std::as_writable_bytes(result.span()), root.results, bands.out_size(), sizeof(R),
            [&](TaskRange chunk) { return bands.out_of(chunk); });
  engine.compute(sequence, root, leaves, [&](Worker& worker, TaskRange chunk) {
    feed.enter(worker.thread(), chunk);
    sink.enter(worker.thread(), chunk);
    const auto one = [&](std::int64_t leaf) {
      const detail::Bands::Band band = bands.at(leaf);
      const std::int64_t task = leaves.tasks_of(leaf).first;
      const std::span read(reinterpret_cast<const T*>(feed.read(worker.thread(), band.in)),
                           static_cast<std::size_t>(band.in.count));
      const std::span written(reinterpret_cast<R*>(sink.place(worker.thread(), band.out)),
                              static_cast<std::size_t>(band.out.count));
      try {
        detail::run_task(worker, task, [&] {
          of_band(band, read, written, worker);
          return true;
        });
      } catch (...) {
        return engine.fail(worker, task, std::current_exception());
      }
      sink.commit(worker.thread(), band.out);
      engine.keep({leaf, leaf + 1}, std::as_bytes(written));
    };
    engine.each(worker, chunk, false, one, [](TaskRange) {});
  });
  engine.join_or_throw();
  sink.finish();
  engine.count_bytes(feed.bytes_moved(), sink.bytes_moved());
}

} // namespace cleave
