# The commit of segments by model groups of 1, 2, 3 and 4 ranks.
add_executable(segment_writer_test segment_writer_test.cpp)
target_link_libraries(segment_writer_test PRIVATE actsweep_gtest_mpi_main actsweep_run actsweep_sample_sweep GTest::gmock)
foreach(ranks 1 2 3 4)
  add_test(NAME mpi.segment_writer_test.${ranks}
           COMMAND "${MPIEXEC_EXECUTABLE}" --oversubscribe ${MPIEXEC_NUMPROC_FLAG} ${ranks}
                   $<TARGET_FILE:segment_writer_test>)
  set_tests_properties(mpi.segment_writer_test.${ranks} PROPERTIES
                       LABELS mpi TIMEOUT ${ACTSWEEP_TEST_LIMIT_S} ENVIRONMENT
                       "${ACTSWEEP_TEST_ENVIRONMENT};OMP_NUM_THREADS=1")
endforeach()
