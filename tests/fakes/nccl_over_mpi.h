// What tests see of the fake NCCL: its counters. nccl_over_mpi.cpp has the nccl functions.
//
// The fake serves host memory over MPI and is strict where NCCL would hang or corrupt: it refuses,
// on every rank, operations that differ over the ranks in kind, count, type or order, sends without
// their receive, groups left open, a unique id from elsewhere than rank 0, null pointers, a call
// before the last one has settled or after the end. ACTSWEEP_FAKE_NCCL_FAIL, read when a
// communicator is made, injects: "all_gather:3" fails the third (init, unique_id, all_to_all …
// alike), "all_gather:3@1" that of rank 1 only, "async:5" reports an error when polled from the
// fifth operation on, "hang:2" never settles the second. ACTSWEEP_FAKE_NCCL_REPORT=1 prints each
// communicator's counts.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace actsweep::fakes {

/// Operations done by this process since its start, by name, over all communicators.
std::map<std::string, int64_t> nccl_operation_counts();

/// Communicators made and neither destroyed nor aborted.
int64_t nccl_live_communicators();

}  // namespace actsweep::fakes
