# Interface targets for how our own sources are compiled, and the two functions that add them.
add_library(actsweep_options INTERFACE)
target_compile_options(actsweep_options INTERFACE -Wall -Wextra -Wshadow
                       -Wno-array-bounds)  # gcc 12 sees bounds in std::vector<std::string> that are not there
target_include_directories(actsweep_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
if(ACTSWEEP_SANITIZE)
  target_compile_options(actsweep_options INTERFACE -fsanitize=address,undefined
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(actsweep_options INTERFACE -fsanitize=address,undefined)
endif()

# actsweep_folder(NAME SOURCES ... LINKS ...): the static library of one folder of src/.
function(actsweep_folder name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(actsweep_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(actsweep_${name} PUBLIC actsweep_options ${ARG_LINKS})
endfunction()

# actsweep_unit_test(NAME SOURCES ... LINKS ...): a GoogleTest program with the label unit.
function(actsweep_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE actsweep_options ${ARG_LINKS} GTest::gtest_main GTest::gmock)
  add_test(NAME unit.${name} COMMAND ${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
