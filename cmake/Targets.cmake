# Interface targets for how our own sources are compiled, and the two functions that add them.
add_library(actsweep_options INTERFACE)
# gcc 12 sees bounds in std::vector<std::string> that are not there. Nothing here reads the flags of
# floating-point exceptions; where gcc has to keep them, loops with a choice in them stay scalar on AVX2.
target_compile_options(actsweep_options INTERFACE
                       $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wshadow -Wno-array-bounds -fno-trapping-math>)
if(ACTSWEEP_WITH_CUDA)
  target_compile_definitions(actsweep_options INTERFACE ACTSWEEP_WITH_CUDA)
endif()
target_include_directories(actsweep_options INTERFACE "${PROJECT_SOURCE_DIR}/src")
if(ACTSWEEP_SANITIZE)
  target_compile_options(actsweep_options INTERFACE -fsanitize=address,undefined
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(actsweep_options INTERFACE -fsanitize=address,undefined)
endif()

# The environment of every test: it may be root's; two tests at a time share the cores, which none binds or polls on; no
# network but loopback is looked for, which takes Open MPI 0.2 s a start.
set(ACTSWEEP_TEST_ENVIRONMENT OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
    OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_pml=ob1)

# A test that hangs says so itself (tests/support/watching.py). Where it cannot, this is the last resort: an eighth of it is
# more than any takes.
set(ACTSWEEP_TEST_LIMIT_S 7200)

# Kernels of a lesser machine, of ours too: tests with the label avx2 run with these, `make test-avx2`.
set(ACTSWEEP_KERNELS_avx2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2)
set(ACTSWEEP_KERNELS_generic ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 ONEDNN_MAX_CPU_ISA=SSE41)

# actsweep_with_kernels(KERNELS LABELS ENTRY ENVIRONMENT COMMAND...): a test once more, as ENTRY.KERNELS.
function(actsweep_with_kernels kernels labels entry environment)
  add_test(NAME ${entry}.${kernels} COMMAND ${ARGN})
  set_tests_properties(${entry}.${kernels} PROPERTIES LABELS "${labels}" TIMEOUT ${ACTSWEEP_TEST_LIMIT_S}
                       ENVIRONMENT "${environment};${ACTSWEEP_KERNELS_${kernels}}")
endfunction()

# actsweep_reuse_precompiled(TARGET LINKS...): gives a target that links a folder that uses LibTorch the header that
# src/comm/ precompiles.
function(actsweep_reuse_precompiled target)
  set(users actsweep_comm actsweep_weights actsweep_kernels actsweep_model actsweep_probe actsweep_measure actsweep_stats
            actsweep_run)
  list(REMOVE_ITEM users ${target})
  foreach(user ${users})
    if(user IN_LIST ARGN)
      target_precompile_headers(${target} REUSE_FROM actsweep_comm)
      return()
    endif()
  endforeach()
endfunction()

# actsweep_folder(NAME SOURCES ... LINKS ...): the static library of one folder of src/. With ACTSWEEP_UNITY its sources are
# compiled a few at a time, which reads headers once for all of them: a third of the work of a whole build. A source with
# options of its own stays alone.
function(actsweep_folder name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(actsweep_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(actsweep_${name} PUBLIC actsweep_options ${ARG_LINKS})
  set_target_properties(actsweep_${name} PROPERTIES UNITY_BUILD ${ACTSWEEP_UNITY} UNITY_BUILD_BATCH_SIZE 6)
  set_property(GLOBAL APPEND PROPERTY ACTSWEEP_FOLDERS actsweep_${name})
  actsweep_reuse_precompiled(actsweep_${name} ${ARG_LINKS})
endfunction()

# actsweep_unit_test(NAME SOURCES ... LINKS ...): a GoogleTest program with the label unit. One that shares no precompiled
# header has each of its sources compiled alone in any build.
function(actsweep_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/unit")
  target_link_libraries(${name} PRIVATE actsweep_options ${ARG_LINKS} GTest::gtest_main GTest::gmock)
  actsweep_reuse_precompiled(${name} ${ARG_LINKS})
  get_target_property(shares_header ${name} PRECOMPILE_HEADERS_REUSE_FROM)
  if(ACTSWEEP_EACH_ALONE AND NOT shares_header)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  add_test(NAME unit.${name} COMMAND ${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT ${ACTSWEEP_TEST_LIMIT_S})
endfunction()

# What the tests with the label gpu run: all of the CUDA configuration that the other one has not.
add_custom_target(gpu_tests)

# actsweep_test_on_gpus(NAME): a unit test that needs a GPU, on the first one and once more on the second. Each is skipped
# where there is none.
function(actsweep_test_on_gpus name)
  add_dependencies(gpu_tests ${name})
  add_test(NAME unit.${name}.gpu1 COMMAND ${name})
  set_tests_properties(unit.${name}.gpu1 PROPERTIES TIMEOUT ${ACTSWEEP_TEST_LIMIT_S} ENVIRONMENT ACTSWEEP_TEST_GPU=1)
  set_tests_properties(unit.${name} unit.${name}.gpu1 PROPERTIES LABELS gpu SKIP_REGULAR_EXPRESSION "no GPU")
endfunction()

# actsweep_gpu_test(NAME SOURCES ... LINKS ...): tests that also run on the CPU, once more for CUDA tensors. With CUDA only.
function(actsweep_gpu_test name)
  if(NOT ACTSWEEP_WITH_CUDA)
    return()
  endif()
  actsweep_unit_test(${name} ${ARGN})
  target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/unit/gpu_environment.cpp")
  target_link_libraries(${name} PRIVATE actsweep_comm)  # which counts the GPUs
  target_compile_definitions(${name} PRIVATE ACTSWEEP_TEST_DEVICE="cuda")
  actsweep_test_on_gpus(${name})
endfunction()

# actsweep_pytest(LABEL FILES...): each file of Python tests as one ctest entry, LABEL.<file without test_ and .py>. Tests
# marked slow, by the file itself or by the functions of tests/support (slow_unless, pair_params and others), run as an
# entry of their own with the label slow besides; a file whose pytestmark is slow has that one only. e2e.slow_entries holds
# this against pytest.
# Of the names behind AVX2 and AVX2_SLOW the others run once more with such kernels, the latter under the label slow only;
# those behind GENERIC with kernels for any machine.
function(actsweep_pytest label)
  cmake_parse_arguments(ARG "" "" "AVX2;AVX2_SLOW;GENERIC" ${ARGN})
  set(python "${PROJECT_SOURCE_DIR}/.venv/bin/python")
  set(environment "ACTSWEEP_PROGRAM=$<TARGET_FILE:actsweep>" "ACTSWEEP_BUILD=${PROJECT_BINARY_DIR}"
      ${ACTSWEEP_TEST_ENVIRONMENT})
  foreach(file ${ARG_UNPARSED_ARGUMENTS})
    string(REGEX REPLACE "^test_(.*)\\.py$" "\\1" name "${file}")
    foreach(speed quick slow)
      file(STRINGS "${CMAKE_CURRENT_SOURCE_DIR}/${file}" slow_marks REGEX "mark\\.slow|slow_unless\\(|_params\\(")
      if(speed STREQUAL "slow" AND NOT slow_marks)
        continue()
      endif()
      if(speed STREQUAL "quick" AND slow_marks MATCHES "pytestmark")
        continue()
      endif()
      if(speed STREQUAL "slow")
        set(entry "${label}.${name}.slow")
        set(marks slow)
        set(labels "${label};slow")
      else()
        set(entry "${label}.${name}")
        set(marks "not slow")
        set(labels "${label}")
      endif()
      set(command "${python}" -m pytest -v --durations=8 -m "${marks}" -p no:cacheprovider "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      add_test(NAME ${entry} COMMAND ${command})
      set_tests_properties(${entry} PROPERTIES LABELS "${labels}" TIMEOUT ${ACTSWEEP_TEST_LIMIT_S}
                           ENVIRONMENT "${environment}")
      if(speed STREQUAL "quick" AND name IN_LIST ARG_AVX2)
        actsweep_with_kernels(avx2 avx2 ${entry} "${environment}" ${command})
      elseif(speed STREQUAL "quick" AND name IN_LIST ARG_AVX2_SLOW)
        actsweep_with_kernels(avx2 slow ${entry} "${environment}" ${command})
      endif()
      if(speed STREQUAL "quick" AND name IN_LIST ARG_GENERIC)
        actsweep_with_kernels(generic slow ${entry} "${environment}" ${command})
      endif()
    endforeach()
  endforeach()
endfunction()
