/// @file
/// Where a result came from: this build, this machine, this environment.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cleave {

/// The facts of docs/timings-format.md that this process knows by itself, by name: git_commit,
/// git_dirty, build_type, build_id, compiler, cxxflags; mpi_version, hdf5_version, boost_version;
/// kernel, cpu_model, topology, governor, clocksource, timer_resolution_ns; environment. A fact
/// that cannot be found out is "unknown". Local, thread-safe unless another thread changes the
/// environment, about 3 ms. May be called before MPI begins.
[[nodiscard]] std::map<std::string, std::string> machine_facts();

/// Whether an environment variable belongs into the record: those of Open MPI, OpenMP, OpenBLAS and
/// HDF5, without what may be a secret by its name, and of Slurm's a list by name, which says where
/// and with what a job ran. Local, thread-safe.
[[nodiscard]] bool recorded_variable(std::string_view name);

} // namespace cleave
