# cleave_test(), cleave_mpi_test() and cleave_compile_failure_test(): how a test is built and run.

# What every test runs under: no network probing by Open MPI, no cores held while waiting, no
# binding (all tests would share core 0) and more ranks than cores allowed, in Open MPI 4 and 5.
set(CLEAVE_TEST_ENVIRONMENT
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_pml=ob1
  OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
  OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_ess_singleton_isolated=1
  PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
  # Open MPI and libhwloc keep memory until the process ends.
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
  TSAN_OPTIONS=halt_on_error=1:suppressions=${CMAKE_CURRENT_LIST_DIR}/../../tests/tsan.supp)

# cleave_test_properties(test [LABELS l...] [PROCESSORS n] [TIMEOUT s] [ENVIRONMENT NAME=value...])
# Any test made by add_test() should have these: a TMPDIR of its own, a time limit (60 s unless
# told), and a failure when HDF5 prints its error stack.
function(cleave_test_properties test)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PROCESSORS;TIMEOUT" "LABELS;ENVIRONMENT")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(CLEAVE_SANITIZE)
    math(EXPR arg_TIMEOUT "5 * ${arg_TIMEOUT}")
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  set(folder ${PROJECT_BINARY_DIR}/tmp/${test})
  file(MAKE_DIRECTORY ${folder})
  set_tests_properties(${test} PROPERTIES
    ENVIRONMENT "${CLEAVE_TEST_ENVIRONMENT};TMPDIR=${folder};${arg_ENVIRONMENT}"
    FAIL_REGULAR_EXPRESSION "HDF5-DIAG"
    LABELS "${arg_LABELS}"
    PROCESSORS ${arg_PROCESSORS}
    TIMEOUT ${arg_TIMEOUT})
endfunction()

# cleave_nearly_alone(test cost): beside nothing but lint.tidy, which takes idle time only and has the
# one slot of scripts/test that is left. The higher the cost, the sooner it begins.
execute_process(COMMAND nproc OUTPUT_VARIABLE cleave_cores OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY)
math(EXPR CLEAVE_NEARLY_ALL "3 * ${cleave_cores} - 1")
function(cleave_nearly_alone test cost)
  if(CLEAVE_LINT)
    set_tests_properties(${test} PROPERTIES PROCESSORS ${CLEAVE_NEARLY_ALL} COST ${cost})
  else()
    set_tests_properties(${test} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

# Builds NAME from NAME.cpp, or from SOURCES, on the library and on LIBRARIES.
function(cleave_test_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  if(NOT arg_SOURCES)
    set(arg_SOURCES ${name}.cpp)
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES ENABLE_EXPORTS ON) # names in the watchdog's stack
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE CLEAVE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE cleave::cleave ${arg_LIBRARIES} cleave_warnings)
endfunction()

# cleave_test(name [SOURCES f...] [LIBRARIES l...] [LABELS l...] [TIMEOUT s] [PROCESSORS n] [TSAN])
# A program of tests that starts no MPI: one ctest of that name. TSAN: also under that sanitizer.
function(cleave_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TSAN" "TIMEOUT;PROCESSORS" "SOURCES;LIBRARIES;LABELS")
  if("slow" IN_LIST arg_LABELS AND NOT CLEAVE_SLOW_TESTS)
    return()
  endif()
  cleave_test_program(${name} SOURCES ${arg_SOURCES}
    LIBRARIES ${arg_LIBRARIES} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(arg_TSAN)
    list(APPEND arg_LABELS tsan)
    add_dependencies(cleave_tsan_tests ${name})
  endif()
  cleave_test_properties(${name}
    LABELS unit ${arg_LABELS} TIMEOUT ${arg_TIMEOUT} PROCESSORS ${arg_PROCESSORS})
endfunction()

# cleave_mpi_test(name [RANKS n...] [SOURCES f...] [LIBRARIES l...] [LABELS l...] [TIMEOUT s]
#   [ENVIRONMENT NAME=value...])
# A program of tests under mpi_main.cpp: the ctests name.n, one for each number of ranks (1 2 3 4
# unless told); those of 4 ranks are slow. Its files must not use ASSERT_ macros: a rank that leaves a test alone leaves the
# others in a collective.
function(cleave_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "RANKS;SOURCES;LIBRARIES;LABELS;ENVIRONMENT")
  if("slow" IN_LIST arg_LABELS AND NOT CLEAVE_SLOW_TESTS)
    return()
  endif()
  if(NOT arg_RANKS)
    set(arg_RANKS 1 2 3 4)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  cleave_test_program(${name} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES} cleave_mpi_main)
  get_target_property(sources ${name} SOURCES)
  set_property(GLOBAL APPEND PROPERTY CLEAVE_MPI_TEST_SOURCES ${sources})
  math(EXPR patience "4 * ${arg_TIMEOUT} / 5")
  if(CLEAVE_SANITIZE)
    math(EXPR patience "5 * ${patience}")
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.${ranks}
      COMMAND ${MPIEXEC_EXECUTABLE} -q ${MPIEXEC_NUMPROC_FLAG} ${ranks}
        $<TARGET_FILE:${name}> --patience=${patience})
    set(labels mpi ${arg_LABELS})
    if(ranks EQUAL 4)
      list(APPEND labels slow)
    endif()
    cleave_test_properties(${name}.${ranks} LABELS ${labels}
      TIMEOUT ${arg_TIMEOUT} PROCESSORS ${ranks} ENVIRONMENT ${arg_ENVIRONMENT})
  endforeach()
endfunction()

# cleave_compile_failure_test(name SOURCE file SECTIONS NAME:message-regex...)
# With no section defined the file must compile; with each -DNAME it must not, and the compiler
# must say something that matches.
function(cleave_compile_failure_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE" "SECTIONS")
  if(CLEAVE_SANITIZE) # nothing runs
    return()
  endif()
  set(includes $<TARGET_PROPERTY:cleave,INTERFACE_INCLUDE_DIRECTORIES>)
  set(mpi_includes $<TARGET_PROPERTY:MPI::MPI_CXX,INTERFACE_INCLUDE_DIRECTORIES>)
  set(compile ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -DOMPI_SKIP_MPICXX
    "-I$<JOIN:${includes},;-I>" "-I$<JOIN:${mpi_includes},;-I>"
    ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SOURCE})
  add_test(NAME ${name}.compiles COMMAND "${compile}" COMMAND_EXPAND_LISTS)
  cleave_test_properties(${name}.compiles LABELS unit slow)
  foreach(section IN LISTS arg_SECTIONS)
    string(REGEX MATCH "^([A-Za-z_0-9]+):(.+)$" matched ${section})
    add_test(NAME ${name}.${CMAKE_MATCH_1}
      COMMAND ${CMAKE_COMMAND} -DSTATUS=failure "-DOUTPUT=${CMAKE_MATCH_2}"
        -P ${PROJECT_SOURCE_DIR}/scripts/cmake/ExpectOutput.cmake
        -- "${compile}" -D${CMAKE_MATCH_1}
      COMMAND_EXPAND_LISTS)
    cleave_test_properties(${name}.${CMAKE_MATCH_1} LABELS unit slow)
  endforeach()
endfunction()
