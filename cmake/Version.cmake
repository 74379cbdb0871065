# The commit that this build was made from, for the sweep file's root attributes.
execute_process(COMMAND git -C "${PROJECT_SOURCE_DIR}" rev-parse HEAD
                OUTPUT_VARIABLE ACTSWEEP_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT ACTSWEEP_COMMIT)
  set(ACTSWEEP_COMMIT "unknown")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/version.cpp.in" "${PROJECT_BINARY_DIR}/generated/version.cpp")
