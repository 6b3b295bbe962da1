# cmake -DBUILD=dir -DSOURCE=dir -DWORK=dir -DMODE=find_package|add_subdirectory -DMPIEXEC=file
#   -P install_test.cmake: builds tests/install, and examples/own-workload where Cleave is installed, as
# other projects would, and runs them.

macro(run)
  message(STATUS "${ARGN}")
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output ECHO_OUTPUT_VARIABLE)
endmacro()

file(REMOVE_RECURSE ${WORK})
if(MODE STREQUAL "find_package")
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
  set(from -DCMAKE_PREFIX_PATH=${WORK}/prefix)
  set(type Release)
else()
  set(from -DCLEAVE_SOURCE_DIR=${SOURCE} -DCMAKE_UNITY_BUILD=ON) # to be done sooner
  set(type Debug) # as well
endif()
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/install -B ${WORK}/build -DCMAKE_BUILD_TYPE=${type}
  -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${from})
run(${CMAKE_COMMAND} --build ${WORK}/build)

run(${MPIEXEC} -q -n 2 ${WORK}/build/sum_of_squares)
if(NOT output STREQUAL "333332833333500000\n")
  message(FATAL_ERROR "sum_of_squares printed: ${output}")
endif()

if(MODE STREQUAL "find_package")
  set(own ${SOURCE}/examples/own-workload)
  run(${CMAKE_COMMAND} -G Ninja -S ${own} -B ${WORK}/own -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${from})
  run(${CMAKE_COMMAND} --build ${WORK}/own)
  run(${WORK}/own/pricing list)
  if(NOT output MATCHES "option +price of a European")
    message(FATAL_ERROR "list does not name the workload: ${output}")
  endif()
  run(${WORK}/own/pricing run option -p paths=1e5 --json -o ${WORK}/one.h5)
  string(JSON expected GET "${output}" checksum)
  run(${MPIEXEC} -q -n 2 ${WORK}/own/pricing run ${own}/option.toml -p paths=1e5 -p strike=105
    --json -o ${WORK}/two.h5)
  string(JSON verified GET "${output}" verified)
  string(JSON checksum GET "${output}" checksum)
  if(NOT verified OR NOT checksum STREQUAL expected)
    message(FATAL_ERROR "verified: ${verified}, ${checksum} instead of ${expected}")
  endif()

  run(${WORK}/prefix/bin/cleave --version)
  file(GLOB_RECURSE pc ${WORK}/prefix/*.pc)
  cmake_path(GET pc PARENT_PATH pc)
  run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc} sh -c
    "c++ -std=c++20 $(pkg-config --cflags cleave) ${SOURCE}/tests/install/sum_of_squares.cpp \
     $(pkg-config --libs cleave) -o ${WORK}/by_pkg_config")
  run(${MPIEXEC} -q -n 2 ${WORK}/by_pkg_config)
endif()
