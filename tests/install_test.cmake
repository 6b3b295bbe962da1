# cmake -DBUILD=dir -DSOURCE=dir -DWORK=dir -DMODE=find_package|add_subdirectory -DMPIEXEC=file
#   -P install_test.cmake: builds tests/install on Cleave as another project would, and runs it.

macro(run)
  message(STATUS "${ARGN}")
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE output ECHO_OUTPUT_VARIABLE)
endmacro()

file(REMOVE_RECURSE ${WORK})
if(MODE STREQUAL "find_package")
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
  set(from -DCMAKE_PREFIX_PATH=${WORK}/prefix)
else()
  set(from -DCLEAVE_SOURCE_DIR=${SOURCE})
endif()
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/tests/install -B ${WORK}/build -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${from})
run(${CMAKE_COMMAND} --build ${WORK}/build)

run(${MPIEXEC} -q -n 2 ${WORK}/build/sum_of_squares)
if(NOT output STREQUAL "333332833333500000\n")
  message(FATAL_ERROR "sum_of_squares printed: ${output}")
endif()
run(${MPIEXEC} -q -n 2 ${WORK}/build/own_workload run cubes -p n=100 -o ${WORK}/cubes.h5)
run(${WORK}/build/own_workload list)
if(NOT output MATCHES "cubes")
  message(FATAL_ERROR "list does not name the workload: ${output}")
endif()

if(MODE STREQUAL "find_package")
  run(${WORK}/prefix/bin/cleave --version)
  file(GLOB_RECURSE pc ${WORK}/prefix/*.pc)
  cmake_path(GET pc PARENT_PATH pc)
  run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc} sh -c
    "c++ -std=c++20 $(pkg-config --cflags cleave) ${SOURCE}/tests/install/sum_of_squares.cpp \
     $(pkg-config --libs cleave) -o ${WORK}/by_pkg_config")
  run(${MPIEXEC} -q -n 2 ${WORK}/by_pkg_config)
endif()
