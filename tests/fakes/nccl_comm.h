// The fake NCCL's communicator and its process-wide state, which NCCL's own interface has too.
#pragma once

#include <mpi.h>
#include <nccl.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace actsweep::fakes {

/// An error to be reported by the `at`-th operation of one name.
struct Injection {
  std::string operation;
  int64_t at = 0;
  int rank = -1;  // -1: on every rank

  bool strikes(const std::string& name, int64_t number, int on_rank) const {
    return operation == name && at == number && (rank < 0 || rank == on_rank);
  }
};

/// From the environment; empty where nothing is injected.
Injection read_injection();

/// One ncclSend or ncclRecv of an open group.
struct PointToPoint {
  bool is_send = false;
  const void* sent = nullptr;
  void* received = nullptr;
  int bytes = 0;
  int peer = 0;
};

struct Process {
  std::string last_error;
  std::set<ncclComm_t> live;
  std::map<std::string, int64_t> counts;
  int64_t ids_made = 0;
  int open_groups = 0;
  ncclComm_t group_comm = nullptr;
  std::vector<PointToPoint> group_queue;
};

Process& process();

/// Sets the text of ncclGetLastError and returns `result`.
ncclResult_t refuse(ncclResult_t result, const std::string& message);

/// Bytes of one element; 0 for a type that the fake does not know.
int64_t bytes_of(ncclDataType_t type);

/// What all ranks must agree on before data moves.
struct Announcement {
  std::string operation;
  size_t count = 0;
  ncclDataType_t type = ncclUint8;
  int64_t detail = 0;  // the reduction
};

}  // namespace actsweep::fakes

struct ncclComm {
  MPI_Comm mpi = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
  bool blocking = false;
  bool finalized = false;
  int polls_until_settled = 0;  // a non-blocking operation shows as in progress so many times
  bool is_settled = false;      // the caller has been told that the last operation is enqueued
  actsweep::fakes::Injection injection;
  std::map<std::string, int64_t> counts;
  int64_t operations = 0;

  /// Joins the ranks that hold the same id into `mpi`: the id is all that they have in common.
  ncclResult_t meet(const ncclUniqueId& id);
  /// Proves that all ranks do the same thing now; a difference or an injected error is the result
  /// on every rank.
  ncclResult_t announce(const actsweep::fakes::Announcement& announcement);
  /// The result of an operation that has moved its data.
  ncclResult_t done();
  /// Whether an error is injected that shows to who asks now.
  bool has_error_to_report() const;

 private:
  ncclResult_t receive_visitors(const ncclUniqueId& id, std::vector<int>& members) const;
};
