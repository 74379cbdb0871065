#include "fakes/nccl_over_mpi.h"

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fakes/nccl_comm.h"

using namespace actsweep::fakes;

namespace {

ncclResult_t check_usable(ncclComm_t comm) {
  if (process().live.count(comm) == 0) {
    return refuse(ncclInvalidArgument, "the communicator is null, destroyed or aborted");
  }
  if (comm->finalized) return refuse(ncclInvalidUsage, "the communicator is finalized");
  if (comm->polls_until_settled > 0) {
    return refuse(ncclInvalidUsage, "the last operation was not polled to its end");
  }
  return ncclSuccess;
}

ncclResult_t check_buffer(const void* buffer, size_t count, ncclDataType_t type,
                          cudaStream_t stream) {
  if (buffer == nullptr) return refuse(ncclInvalidArgument, "a buffer is null");
  if (stream != nullptr) return refuse(ncclInvalidArgument, "host memory has no stream");
  if (bytes_of(type) == 0) return refuse(ncclInvalidArgument, "a type that the fake does not know");
  if (count > static_cast<size_t>(INT_MAX / bytes_of(type))) {
    return refuse(ncclInvalidArgument, "more than 2 GiB in one operation");
  }
  return ncclSuccess;
}

/// Everything before the data of a collective moves.
ncclResult_t begin(ncclComm_t comm, const Announcement& announcement, const void* in,
                   const void* out, cudaStream_t stream) {
  ncclResult_t result = check_usable(comm);
  if (result != ncclSuccess) return result;
  if (process().open_groups > 0) return refuse(ncclInvalidUsage, "a collective inside a group");
  for (const void* buffer : {in, out}) {
    result = check_buffer(buffer, announcement.count, announcement.type, stream);
    if (result != ncclSuccess) return result;
  }
  return comm->announce(announcement);
}

ncclResult_t queue_message(ncclComm_t comm, const PointToPoint& message) {
  const ncclResult_t result = check_usable(comm);
  if (result != ncclSuccess) return result;
  Process& state = process();
  if (state.open_groups == 0) return refuse(ncclInvalidUsage, "a send or receive without a group");
  if (state.group_comm != nullptr && state.group_comm != comm) {
    return refuse(ncclInvalidUsage, "two communicators in one group");
  }
  if (message.peer < 0 || message.peer >= comm->size) {
    return refuse(ncclInvalidArgument, "no such peer");
  }
  state.group_comm = comm;
  state.group_queue.push_back(message);
  return ncclSuccess;
}

/// Proves that every rank sends to this one, message by message, the bytes that it awaits.
ncclResult_t check_messages(ncclComm_t comm, const std::vector<PointToPoint>& messages) {
  std::vector<int64_t> sent(comm->size), awaited(comm->size), arriving(comm->size);
  for (const PointToPoint& message : messages) {
    int64_t& digest = (message.is_send ? sent : awaited)[message.peer];
    digest = digest * 31 + message.bytes + 1;
  }
  MPI_Alltoall(sent.data(), 1, MPI_INT64_T, arriving.data(), 1, MPI_INT64_T, comm->mpi);
  int differ = arriving == awaited ? 0 : 1;
  MPI_Allreduce(MPI_IN_PLACE, &differ, 1, MPI_INT, MPI_MAX, comm->mpi);
  if (differ) return refuse(ncclInvalidUsage, "sends and receives of a group do not match");
  return ncclSuccess;
}

ncclResult_t run_group(ncclComm_t comm, const std::vector<PointToPoint>& messages) {
  ncclResult_t result = comm->announce({"all_to_all", messages.size()});
  if (result == ncclSuccess) result = check_messages(comm, messages);
  if (result != ncclSuccess) return result;
  std::vector<MPI_Request> requests(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    const PointToPoint& message = messages[i];
    if (message.is_send) {
      MPI_Isend(message.sent, message.bytes, MPI_BYTE, message.peer, 0, comm->mpi, &requests[i]);
    } else {
      MPI_Irecv(message.received, message.bytes, MPI_BYTE, message.peer, 0, comm->mpi,
                &requests[i]);
    }
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  return comm->done();
}

MPI_Datatype mpi_type(ncclDataType_t type) {
  if (type == ncclFloat32) return MPI_FLOAT;
  if (type == ncclFloat64) return MPI_DOUBLE;
  return type == ncclInt64 ? MPI_INT64_T : MPI_UINT8_T;
}

MPI_Op mpi_operator(ncclRedOp_t operation) {
  if (operation == ncclMax) return MPI_MAX;
  return operation == ncclMin ? MPI_MIN : MPI_SUM;
}

void print_report(const ncclComm& comm) {
  if (std::getenv("ACTSWEEP_FAKE_NCCL_REPORT") == nullptr) return;
  std::string line =
      "fake NCCL: rank " + std::to_string(comm.rank) + " of " + std::to_string(comm.size) + " did";
  for (const auto& [operation, count] : comm.counts) {
    line += " " + operation + "=" + std::to_string(count);
  }
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

namespace actsweep::fakes {
std::map<std::string, int64_t> nccl_operation_counts() { return process().counts; }
int64_t nccl_live_communicators() { return static_cast<int64_t>(process().live.size()); }
}  // namespace actsweep::fakes

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  constexpr std::array<const char*, ncclNumResults> kTexts = {
      "success",          "CUDA failed",   "system failed", "internal error",
      "invalid argument", "invalid usage", "remote error",  "in progress"};
  return kTexts.at(result);
}

const char* ncclGetLastError(ncclComm_t) { return process().last_error.c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (read_injection().strikes("unique_id", 1, 0)) {
    return refuse(ncclSystemError, "injected error in unique_id");
  }
  int world_rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  const std::array<int64_t, 2> content = {world_rank, ++process().ids_made};
  *id = {};
  std::memcpy(id->internal, content.data(), sizeof(content));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (comm == nullptr || config == nullptr || rank < 0 || rank >= size) {
    return refuse(ncclInvalidArgument, "init with a null pointer or a rank out of range");
  }
  auto* made = new ncclComm;
  made->rank = rank;
  made->size = size;
  made->blocking = config->blocking != 0;
  made->injection = read_injection();
  process().live.insert(made);
  *comm = made;
  ncclResult_t result = made->meet(id);
  if (result == ncclSuccess) result = made->announce({"init", static_cast<size_t>(size)});
  made->operations = 0;
  return result == ncclSuccess ? made->done() : result;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  if (process().live.count(comm) == 0) {
    return refuse(ncclInvalidArgument, "the communicator is null, destroyed or aborted");
  }
  if (comm->has_error_to_report()) {
    *state = refuse(ncclRemoteError, "injected error after an operation");
    return ncclSuccess;
  }
  comm->is_settled = comm->polls_until_settled == 0;
  *state = comm->is_settled ? ncclSuccess : ncclInProgress;
  if (!comm->is_settled && comm->polls_until_settled < INT_MAX) --comm->polls_until_settled;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  ncclResult_t result = check_usable(comm);
  if (result != ncclSuccess) return result;
  if (process().open_groups > 0) return refuse(ncclInvalidUsage, "finalized in an open group");
  result = comm->announce({"finalize"});
  if (result != ncclSuccess) return result;
  comm->finalized = true;
  return comm->done();
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (process().live.count(comm) == 0) return check_usable(comm);
  if (!comm->finalized || comm->polls_until_settled > 0) {
    return refuse(ncclInvalidUsage, "destroyed before its finalization has settled");
  }
  if (process().open_groups > 0) return refuse(ncclInvalidUsage, "destroyed in an open group");
  print_report(*comm);
  MPI_Comm_free(&comm->mpi);
  process().live.erase(comm);
  delete comm;
  return ncclSuccess;
}

// The MPI communicator is left to MPI_Finalize: freeing it is collective, and nobody may be waited
// for.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (process().live.erase(comm) == 0) return check_usable(comm);
  if (process().group_comm == comm) {
    process().group_comm = nullptr;
    process().group_queue.clear();
  }
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  const ncclResult_t result = begin(comm, {"all_gather", count, type}, in, out, stream);
  if (result != ncclSuccess) return result;
  const int bytes = static_cast<int>(count * bytes_of(type));
  MPI_Allgather(in, bytes, MPI_BYTE, out, bytes, MPI_BYTE, comm->mpi);
  return comm->done();
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  const ncclResult_t result = begin(comm, {"all_reduce", count, type, operation}, in, out, stream);
  if (result != ncclSuccess) return result;
  MPI_Allreduce(in == out ? MPI_IN_PLACE : in, out, static_cast<int>(count), mpi_type(type),
                mpi_operator(operation), comm->mpi);
  return comm->done();
}

ncclResult_t ncclGroupStart() {
  ++process().open_groups;
  return ncclSuccess;
}

ncclResult_t ncclSend(const void* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  const ncclResult_t result = check_buffer(in, count, type, stream);
  if (result != ncclSuccess) return result;
  return queue_message(comm, {true, in, nullptr, static_cast<int>(count * bytes_of(type)), peer});
}

ncclResult_t ncclRecv(void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  const ncclResult_t result = check_buffer(out, count, type, stream);
  if (result != ncclSuccess) return result;
  return queue_message(comm, {false, nullptr, out, static_cast<int>(count * bytes_of(type)), peer});
}

ncclResult_t ncclGroupEnd() {
  Process& state = process();
  if (state.open_groups == 0) return refuse(ncclInvalidUsage, "a group ended that was not started");
  if (--state.open_groups > 0 || state.group_comm == nullptr) return ncclSuccess;
  ncclComm_t comm = std::exchange(state.group_comm, nullptr);
  return run_group(comm, std::exchange(state.group_queue, {}));
}
