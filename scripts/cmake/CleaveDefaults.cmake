# How everything here is compiled, and cleave_target(), which gives a library its common properties.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  endif()
endif()

if(CLEAVE_SANITIZE)
  add_compile_options(-fsanitize=${CLEAVE_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g1) # lines for the stacks of reports
  add_link_options(-fsanitize=${CLEAVE_SANITIZE})
endif()
if(CLEAVE_NATIVE)
  add_compile_options(-march=native)
  # Where native means Ice Lake or later, Highway 1.0 stops with an #error unless told.
  add_compile_definitions(HWY_WANT_AVX3_DL)
endif()

# Linked PRIVATE by every target here and never exported: our warnings are not a user's.
add_library(cleave_warnings INTERFACE)
target_compile_options(cleave_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${CLEAVE_WERROR}>:-Werror>
  # GCC 12 sees overlaps in `"text" + string` where there are none (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # In a unity build GCC takes a type of an anonymous namespace for one of a header.
  $<$<AND:$<BOOL:${CMAKE_UNITY_BUILD}>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)

# cleave_target(name [EXPORT_NAME name-in-namespace]): include paths, warnings, alias cleave::name.
function(cleave_target target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" EXPORT_NAME "")
  if(NOT arg_EXPORT_NAME)
    set(arg_EXPORT_NAME ${target})
  endif()
  add_library(cleave::${arg_EXPORT_NAME} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${arg_EXPORT_NAME}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:cleave_warnings>)
endfunction()
