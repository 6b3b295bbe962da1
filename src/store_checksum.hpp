/// @file
/// Sums by which a file shows that its numbers are those that were written: HDF5 1.10 has none of
/// its own for contiguous data.
#pragma once

#include "cleave/timings.hpp"
#include "hdf5_file.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

namespace cleave::format {

/// XXH3-64 of one piece after the other, each seeded with the sum of those before it (the first
/// with 0). Numbers count as they stand in the file, little endian; texts without a NUL.
class ChainedSum {
public:
  template <class T>
  void add(std::span<const T> values) {
    if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1)
      add_bytes(std::as_bytes(values));
    else {
      std::vector<std::byte> bytes;
      for (const T& value : values) {
        const auto native = std::as_bytes(std::span(&value, 1));
        bytes.insert(bytes.end(), native.rbegin(), native.rend());
      }
      add_bytes(bytes);
    }
  }
  template <class T>
  void add(const T& value) {
    add(std::span(&value, 1));
  }
  void add(std::string_view text) { add_bytes(std::as_bytes(std::span(text))); }

  [[nodiscard]] std::uint64_t value() const noexcept { return sum_; }

private:
  void add_bytes(std::span<const std::byte> bytes) { sum_ = checksum(bytes, sum_); }

  std::uint64_t sum_ = 0;
};

/// Of what a file holds besides its rows. @param rows of /run and of /warm_up, 0 where absent
[[nodiscard]] std::uint64_t sum_of(const RunInfo& info, std::size_t rows, std::size_t warm_ups);

/// The same of an open file. @throws hdf5::Failure when it is not whole
[[nodiscard]] std::uint64_t stored_sum(const hdf5::File& file);

/// States a sum as the root attribute `name`.
void write_sum(const hdf5::File& file, const char* name, std::uint64_t sum);

/// Whether a file has the root attribute `name`, as all but those of version 1.0 do.
/// @throws hdf5::Failure when a newer one has none
[[nodiscard]] bool has_sum(const hdf5::File& file, const char* name);

/// Whether rows have added_xxh3 as well, as they have from version 1.2 on. @pre has_sum(file)
[[nodiscard]] bool has_added_sums(const hdf5::File& file);

/// @throws hdf5::Failure when the root attribute `name` states another sum
void require_sum(const hdf5::File& file, const char* name, std::uint64_t sum);

} // namespace cleave::format
