# cmake -DMESSAGE=regex -P ExpectFailure.cmake -- command...: succeeds when the command fails with a
# status of its own (it started, and no signal or time limit ended it) and prints what matches.

set(command "")
set(started FALSE)
foreach(i RANGE ${CMAKE_ARGC})
  if(started)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
    set(started TRUE)
  endif()
endforeach()

execute_process(COMMAND ${command} RESULT_VARIABLE status
  OUTPUT_VARIABLE output ERROR_VARIABLE output)
message("${output}\nstatus: ${status}")
if(NOT status MATCHES "^[0-9]+$" OR status EQUAL 0)
  message(FATAL_ERROR "Expected a failure, got status ${status}")
endif()
if(NOT output MATCHES "${MESSAGE}")
  message(FATAL_ERROR "Expected output that matches: ${MESSAGE}")
endif()
