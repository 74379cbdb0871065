# The laws of Group at 1, 2, 3 and 4 ranks: over MPI and over the NCCL backend. Where no GPU is, NCCL is the fake on host
# memory; its headers come from the same wheel as LibTorch. With CUDA a second program runs over the real NCCL.
find_path(CUDA_RUNTIME_INCLUDE_DIR cuda_runtime.h
          HINTS ${CUDAToolkit_INCLUDE_DIRS} "${NCCL_INCLUDE_DIR}/../../cu13/include" "${NCCL_INCLUDE_DIR}")

add_library(actsweep_gtest_mpi_main OBJECT "${PROJECT_SOURCE_DIR}/tests/mpi/gtest_mpi_main.cpp")
target_link_libraries(actsweep_gtest_mpi_main PUBLIC actsweep_session GTest::gtest)

# actsweep_group_law_test(NAME LABEL FILTER RANKS...): one ctest entry for each number of ranks of an existing program.
function(actsweep_group_law_test name label filter)
  foreach(ranks ${ARGN})
    add_test(NAME mpi.${name}.${ranks}
             COMMAND "${MPIEXEC_EXECUTABLE}" ${MPIEXEC_NUMPROC_FLAG} ${ranks}
                     $<TARGET_FILE:${name}> --gtest_filter=${filter})
    set_tests_properties(mpi.${name}.${ranks} PROPERTIES
                         LABELS "${label}" TIMEOUT ${ACTSWEEP_TEST_LIMIT_S} ENVIRONMENT
                         "${ACTSWEEP_TEST_ENVIRONMENT};OMPI_MCA_rmaps_base_oversubscribe=1;OMP_NUM_THREADS=1")
  endforeach()
endfunction()

add_executable(group_law_test group_law_test.cpp)
target_link_libraries(group_law_test PRIVATE actsweep_gtest_mpi_main actsweep_comm GTest::gmock)
actsweep_reuse_precompiled(group_law_test actsweep_comm)

if(NCCL_INCLUDE_DIR AND CUDA_RUNTIME_INCLUDE_DIR)
  # An object library: its definitions go before those of actsweep_comm (no_nccl.cpp) and of NCCL itself.
  add_library(actsweep_fake_nccl OBJECT "${PROJECT_SOURCE_DIR}/tests/fakes/nccl_over_mpi.cpp"
              "${PROJECT_SOURCE_DIR}/tests/fakes/nccl_comm.cpp")
  if(NOT ACTSWEEP_WITH_CUDA)
    target_sources(actsweep_fake_nccl PRIVATE "${PROJECT_SOURCE_DIR}/src/comm/nccl_backend.cpp"
                   "${PROJECT_SOURCE_DIR}/src/comm/nccl_communicator.cpp"
                   "${PROJECT_SOURCE_DIR}/tests/fakes/no_cuda_driver.cpp")
  endif()
  target_include_directories(actsweep_fake_nccl PUBLIC "${PROJECT_SOURCE_DIR}/tests")
  target_include_directories(actsweep_fake_nccl SYSTEM PUBLIC "${NCCL_INCLUDE_DIR}" "${CUDA_RUNTIME_INCLUDE_DIR}")
  target_link_libraries(actsweep_fake_nccl PUBLIC actsweep_comm)
  actsweep_reuse_precompiled(actsweep_fake_nccl actsweep_comm)

  target_sources(group_law_test PRIVATE nccl_fake_test.cpp)
  target_compile_definitions(group_law_test PRIVATE ACTSWEEP_NCCL_DEVICE="cpu")
  target_link_libraries(group_law_test PRIVATE actsweep_fake_nccl)
else()
  message(STATUS "actsweep: no NCCL headers beside LibTorch, so the tests leave out the NCCL backend")
endif()
actsweep_group_law_test(group_law_test mpi * 1 2 3 4)

if(ACTSWEEP_WITH_CUDA)
  add_executable(group_law_gpu_test group_law_test.cpp)
  target_compile_definitions(group_law_gpu_test PRIVATE ACTSWEEP_NCCL_DEVICE="cuda")
  target_link_libraries(group_law_gpu_test PRIVATE actsweep_gtest_mpi_main actsweep_comm GTest::gmock)
  actsweep_group_law_test(group_law_gpu_test gpu *NCCL 1 2 4)
  add_dependencies(gpu_tests group_law_gpu_test)
  foreach(ranks 1 2 4)  # skipped, all or none, where the ranks have no GPU each
    set_tests_properties(mpi.group_law_gpu_test.${ranks} PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED")
  endforeach()
endif()
