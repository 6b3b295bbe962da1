# cmake [-DSTATUS=n|failure] -DOUTPUT=regex -P ExpectOutput.cmake -- command...: succeeds when the
# command ends with that status, 0 unless told, and what it prints, standard error behind standard
# output, matches. failure: any status but 0, of its own: no signal or time limit ended it.

set(command "")
set(started FALSE)
foreach(i RANGE ${CMAKE_ARGC})
  if(started)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
    set(started TRUE)
  endif()
endforeach()
if("${STATUS}" STREQUAL "")
  set(STATUS 0)
elseif(STATUS STREQUAL "failure")
  set(STATUS "[1-9][0-9]*")
endif()

execute_process(COMMAND ${command} RESULT_VARIABLE status
  OUTPUT_VARIABLE output ERROR_VARIABLE errors)
message("${output}${errors}\nstatus: ${status}")
if(NOT status MATCHES "^${STATUS}$")
  message(FATAL_ERROR "Expected status ${STATUS}, got ${status}")
endif()
if(NOT "${output}${errors}" MATCHES "${OUTPUT}")
  message(FATAL_ERROR "Expected output that matches: ${OUTPUT}")
endif()
