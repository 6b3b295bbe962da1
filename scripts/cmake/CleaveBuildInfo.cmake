# cleave_build_info(target): gives the target build_info.hpp. It is looked after at every build, since
# a commit changes no source file, and rewritten only when something in it has changed.

if(CMAKE_SCRIPT_MODE_FILE) # the build runs this part
  set(GIT_COMMIT unknown)
  set(GIT_DIRTY unknown)
  set(git git -C ${SOURCE_DIR} -c safe.directory=${SOURCE_DIR})
  execute_process(COMMAND ${git} rev-parse --show-toplevel HEAD
    OUTPUT_VARIABLE answer RESULT_VARIABLE status ERROR_QUIET)
  string(REGEX REPLACE "\n.*" "" top "${answer}")
  file(REAL_PATH ${SOURCE_DIR} source)
  # An unpacked archive inside another project's tree is not of that project's commit.
  if(status STREQUAL "0" AND top STREQUAL source AND answer MATCHES "\n([0-9a-f]+)\n$")
    set(GIT_COMMIT ${CMAKE_MATCH_1})
    execute_process(COMMAND ${git} --no-optional-locks status --porcelain -- CMakeLists.txt include jobs src
      OUTPUT_VARIABLE changes)
    set(GIT_DIRTY true)
    if(changes STREQUAL "")
      set(GIT_DIRTY false)
    endif()
  endif()
  configure_file(${SOURCE_DIR}/src/build_info.hpp.in ${OUTPUT} @ONLY)
  return()
endif()

function(cleave_build_info target)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  get_directory_property(options COMPILE_OPTIONS)
  string(JOIN " " flags ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}} ${options})
  set(header ${PROJECT_BINARY_DIR}/generated/build_info.hpp)
  add_custom_target(${target}_build_info BYPRODUCTS ${header} VERBATIM
    COMMENT "Looking up the commit"
    COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUTPUT=${header}
      -DBUILD_TYPE=${CMAKE_BUILD_TYPE} "-DCXXFLAGS=${flags}"
      "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
      -DBOOST_VERSION=${Boost_VERSION_STRING} -DHDF5_VERSION=${cleave_hdf5_VERSION}
      -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE})
  add_dependencies(${target} ${target}_build_info)
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
endfunction()
