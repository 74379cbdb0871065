# Consolidation with parallel HDF5 at 1, 2, 3 and 4 ranks.
add_executable(consolidate_test consolidate_test.cpp)
target_link_libraries(consolidate_test PRIVATE actsweep_gtest_mpi_main actsweep_sample_sweep GTest::gmock)
foreach(ranks 1 2 3 4)
  add_test(NAME mpi.consolidate_test.${ranks}
           COMMAND "${MPIEXEC_EXECUTABLE}" --oversubscribe ${MPIEXEC_NUMPROC_FLAG} ${ranks}
                   $<TARGET_FILE:consolidate_test>)
  set_tests_properties(mpi.consolidate_test.${ranks} PROPERTIES
                       LABELS mpi TIMEOUT ${ACTSWEEP_TEST_LIMIT_S} ENVIRONMENT
                       "${ACTSWEEP_TEST_ENVIRONMENT};OMP_NUM_THREADS=1")
endforeach()
