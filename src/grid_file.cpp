/// HDF5 files of numbers over a plane, whose chunks were compressed elsewhere.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "handle.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <new>
#include <stdexcept>

namespace cleave {
namespace {

std::int64_t bands_of(const Grid& grid) {
  return (std::ssize(grid.y) + grid.band_rows - 1) / grid.band_rows;
}

/// The bytes of all numbers by their place in the number, the lowest ones first, as HDF5's shuffle
/// filter leaves little-endian numbers. @param total of numbers: those that are missing are 0
std::vector<Bytef> shuffled(std::span<const std::uint32_t> counts, std::size_t total) {
  std::vector<Bytef> bytes(total * sizeof(std::uint32_t));
  for (std::size_t byte = 0; byte < sizeof(std::uint32_t); ++byte)
    for (std::size_t i = 0; i < counts.size(); ++i)
      bytes[byte * total + i] = static_cast<Bytef>(counts[i] >> (8 * byte));
  return bytes;
}

/// In memory, with all but the bands.
hdf5::File empty_file(const Grid& grid) {
  hdf5::File file = hdf5::create_in_memory();
  const auto dimension = [&](const char* axis, const std::vector<double>& values) {
    return hdf5::Dimension(hdf5::write_numbers<double>(file.get(), axis, values, {values.size()}),
                           axis);
  };
  hdf5::Dimension y = dimension("y", grid.y);
  hdf5::Dimension x = dimension("x", grid.x);
  const hdf5::Shape shape{grid.y.size(), grid.x.size()};
  const hdf5::Shape chunk{static_cast<hsize_t>(grid.band_rows), grid.x.size()};
  const hdf5::Dataset dataset = hdf5::create_deflated_dataset(
      file.get(), grid.name.c_str(), hdf5::Number<std::uint32_t>::in_file(), shape, chunk);
  const std::array<hdf5::Dimension*, 2> both{&y, &x};
  hdf5::describe(dataset, both);
  y.finish();
  x.finish();
  return file;
}

} // namespace

std::vector<std::byte> pack_grid_band(std::span<const std::uint32_t> counts,
                                      std::int64_t band_counts) {
  if (counts.empty() || std::ssize(counts) > band_counts)
    throw Error(ErrorKind::bad_input, "the numbers are no band of the grid");
  const std::vector<Bytef> bytes = shuffled(counts, static_cast<std::size_t>(band_counts));
  uLongf length = compressBound(bytes.size());
  std::vector<std::byte> packed(length);
  if (compress(reinterpret_cast<Bytef*>(packed.data()), &length, bytes.data(), bytes.size()) !=
      Z_OK)
    throw std::bad_alloc();
  packed.resize(length);
  return packed;
}

struct GridFile::State {
  std::filesystem::path name;
  NewFile temporary;
  std::int64_t bands;
  std::int64_t band_rows;
  std::int64_t next = 0; ///< band
  hdf5::File file{};
  hdf5::Dataset dataset{};
  Descriptor descriptor{};
  hsize_t reserved = 0; ///< bytes of the file that the disk has room for

  State(const std::filesystem::path& path, const Grid& grid)
      : name(path), temporary(path), bands(bands_of(grid)), band_rows(grid.band_rows) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { close(); }

  void open(const Grid& grid);
  void reserve(hsize_t bytes);
  void close() noexcept {
    const hdf5::Quiet quiet;
    dataset = {};
    file = {};
  }

  /// Calls `work`, and lets what the system refuses be told with the file's name.
  template <class Work>
  void guarded(Work work) {
    const hdf5::Quiet quiet;
    try {
      work();
    } catch (const std::runtime_error& failure) { // hdf5::Failure, FileFailure
      throw Error(ErrorKind::io, failure.what(), {name.string(), 0, {}});
    }
  }
};

/// HDF5 can neither close nor forget a file whose bytes the disk does not take: there must be room
/// before it writes.
/// @param bytes of numbers that are about to be written
void GridFile::State::reserve(hsize_t bytes) {
  const hsize_t about =
      65'536 + hsize_t{256} * static_cast<hsize_t>(bands); // what HDF5 writes on its own
  const hsize_t needed = hdf5::size_of(file) + bytes + about;
  if (needed <= reserved)
    return;
  if (const int error = posix_fallocate(descriptor.get(), static_cast<off_t>(reserved),
                                        static_cast<off_t>(needed - reserved));
      error != 0)
    throw FileFailure("write it", error);
  reserved = needed;
}

/// A file without bands is made in memory and written as a whole.
void GridFile::State::open(const Grid& grid) {
  temporary.write(hdf5::bytes_of(empty_file(grid)));
  descriptor = Descriptor(::open(temporary.path().c_str(), O_RDWR | O_CLOEXEC));
  if (!descriptor)
    throw FileFailure("open it", errno);
  file = hdf5::open_file(temporary.path(), true);
  dataset = hdf5::open_dataset(file.get(), grid.name.c_str());
}

GridFile::GridFile(const std::filesystem::path& file, const Grid& grid)
    : state_(std::make_unique<State>(file, grid)) {
  state_->guarded([&] { state_->open(grid); });
}

GridFile::GridFile(GridFile&&) noexcept = default;
GridFile& GridFile::operator=(GridFile&&) noexcept = default;
GridFile::~GridFile() = default;

void GridFile::append(std::span<const std::byte> packed) {
  state_->guarded([&] {
    state_->reserve(packed.size());
    const auto row = static_cast<hsize_t>(state_->next) * static_cast<hsize_t>(state_->band_rows);
    hdf5::write_chunk(state_->dataset, {row, 0}, packed);
    ++state_->next;
  });
}

void GridFile::publish() {
  if (state_->next != state_->bands)
    throw Error(ErrorKind::bad_input,
                "the grid has " + std::to_string(state_->bands) + " bands, but " +
                    std::to_string(state_->next) + " were given",
                {state_->name.string(), 0, {}});
  state_->guarded([&] {
    hdf5::flush(state_->file);
    const auto size = static_cast<off_t>(hdf5::size_of(state_->file));
    state_->close();
    if (ftruncate(state_->descriptor.get(), size) != 0) // less what was reserved in vain
      throw FileFailure("write it", errno);
    state_->temporary.sync();
    state_->temporary.replace();
  });
}

} // namespace cleave
