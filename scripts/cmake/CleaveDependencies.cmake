# What Cleave needs from the system: docs/dependencies.md names the Debian packages.

find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(Boost REQUIRED COMPONENTS mpi serialization)
find_package(Random123 REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_search_module(cleave_hdf5 REQUIRED IMPORTED_TARGET hdf5-openmpi hdf5) # Debian's name first
pkg_check_modules(cleave_hwloc REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(cleave_xxhash REQUIRED IMPORTED_TARGET libxxhash)
find_package(hwy CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)

# Not needed: the workload primes says where it is missing.
find_package(primesieve CONFIG QUIET)

# Not needed: without it TIFF images are refused. 4.5 was the first with handlers of each file.
find_package(TIFF 4.5 QUIET)
