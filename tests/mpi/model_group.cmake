# Tests of what ranks do together, by 1, 2, 3 and 4: segments' commit, parallel consolidation, the counter of units.
foreach(name segment_writer consolidate shared_counter)
  add_executable(${name}_test ${name}_test.cpp)
  target_link_libraries(${name}_test PRIVATE actsweep_gtest_mpi_main actsweep_run actsweep_sample_sweep GTest::gmock)
  foreach(ranks 1 2 3 4)
    add_test(NAME mpi.${name}_test.${ranks}
             COMMAND "${MPIEXEC_EXECUTABLE}" --oversubscribe ${MPIEXEC_NUMPROC_FLAG} ${ranks}
                     $<TARGET_FILE:${name}_test>)
    set_tests_properties(mpi.${name}_test.${ranks} PROPERTIES
                         LABELS mpi TIMEOUT ${ACTSWEEP_TEST_LIMIT_S} ENVIRONMENT
                         "${ACTSWEEP_TEST_ENVIRONMENT};OMP_NUM_THREADS=1")
  endforeach()
endforeach()
