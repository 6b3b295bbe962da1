/// Which rows of which grid a band has, and where its elements lie.
#include "cleave/error.hpp"
#include "cleave/pool.hpp"

#include <algorithm>

namespace cleave::detail {

Bands::Bands(std::span<const BandShape> grids) {
  for (const BandShape& shape : grids) {
    if (std::min({shape.rows, shape.in_width, shape.out_width, shape.halo}) < 0 || shape.grain < 1)
      throw Error(ErrorKind::bad_input,
                  "map_bands: rows, widths and halo are not negative, and the "
                  "grain is at least 1");
    const Leaves leaves(shape.rows, shape.grain, std::max(shape.rows, std::int64_t{1}));
    grids_.push_back({shape, leaves, count_, in_size_, out_size_});
    count_ += leaves.count();
    in_size_ += shape.rows * shape.in_width;
    out_size_ += shape.rows * shape.out_width;
  }
}

std::int64_t Bands::widest() const noexcept {
  std::int64_t widest = 0;
  for (const Grid& grid : grids_)
    widest = std::max(widest, grid.shape.out_width);
  return widest;
}

std::size_t Bands::mark() const noexcept {
  std::size_t mark = grids_.size();
  for (const auto& [shape, leaves, band, in, out] : grids_)
    for (const std::int64_t part :
         {shape.rows, shape.in_width, shape.out_width, shape.halo, shape.grain})
      mark = mark * 31 + static_cast<std::size_t>(part);
  return mark;
}

Bands::Band Bands::at(std::int64_t band) const noexcept {
  const auto next = std::ranges::upper_bound(grids_, band, {}, &Grid::first_band);
  const Grid& grid = *(next - 1);
  const BandShape& shape = grid.shape;
  const TaskRange rows = grid.leaves.tasks_of(band - grid.first_band);
  const TaskRange in_rows{std::max(rows.first - shape.halo, std::int64_t{0}),
                          std::min(rows.last + shape.halo, shape.rows)};
  return {next - 1 - grids_.begin(),
          rows,
          in_rows,
          {grid.first_in + in_rows.first * shape.in_width, in_rows.size() * shape.in_width},
          {grid.first_out + rows.first * shape.out_width, rows.size() * shape.out_width}};
}

Part Bands::in_of(TaskRange bands) const noexcept {
  const Part first = at(bands.first).in;
  const Part last = at(bands.last - 1).in;
  return {first.first, last.first + last.count - first.first};
}

Part Bands::out_of(TaskRange bands) const noexcept {
  const Part first = at(bands.first).out;
  const Part last = at(bands.last - 1).out;
  return {first.first, last.first + last.count - first.first};
}

} // namespace cleave::detail
