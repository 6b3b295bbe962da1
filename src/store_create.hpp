/// @file
/// A timings file as it is before its first repetition: everything but the rows.
#pragma once

#include "cleave/store.hpp"
#include "hdf5_file.hpp"

namespace cleave::format {

/// Makes the file in memory with all groups, provenance and datasets, every row empty.
/// @throws hdf5::Failure
[[nodiscard]] hdf5::File create(const RunInfo& info, const StoreOptions& options);

} // namespace cleave::format
