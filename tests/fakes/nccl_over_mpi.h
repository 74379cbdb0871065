// What tests see of the fake NCCL: its counters. It serves host memory over MPI and is strict where
// NCCL would hang or corrupt: it refuses, on every rank, operations that differ over the ranks,
// unmatched sends, open groups, a unique id that is not rank 0's, and calls out of order.
// ACTSWEEP_FAKE_NCCL_FAIL, read when a communicator is made, injects: "all_gather:3" fails the
// third (init, unique_id, all_to_all … alike), "all_gather:3@1" that of rank 1 only, "async:5"
// reports an error when polled from the fifth operation on, "late:5" only once the fifth is
// enqueued, as an operation does that fails on its way, "hang:2" never settles the second.
// ACTSWEEP_FAKE_NCCL_REPORT=1 prints each communicator's counts when it is destroyed.
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
