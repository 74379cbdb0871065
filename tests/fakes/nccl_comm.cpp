#include "fakes/nccl_comm.h"

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace actsweep::fakes {

Process& process() {
  static Process the_process;
  return the_process;
}

ncclResult_t refuse(ncclResult_t result, const std::string& message) {
  process().last_error = "fake NCCL: " + message;
  return result;
}

int64_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return 1;
    case ncclFloat32:
      return 4;
    case ncclFloat64:
    case ncclInt64:
      return 8;
    default:
      return 0;
  }
}

Injection read_injection() {
  const char* text = std::getenv("ACTSWEEP_FAKE_NCCL_FAIL");
  if (text == nullptr) return {};
  std::array<char, 32> operation{};
  Injection injection;
  if (std::sscanf(text, "%31[a-z_]:%ld@%d", operation.data(), &injection.at, &injection.rank) < 2) {
    std::fprintf(stderr, "ACTSWEEP_FAKE_NCCL_FAIL: expected OPERATION:NUMBER[@RANK], found %s\n",
                 text);
    std::abort();
  }
  injection.operation = operation.data();
  return injection;
}

namespace {

constexpr int kPollsPerOperation = 2;
constexpr int kRendezvousTag = 7701;
constexpr double kRendezvousLimit_s = 5;

/// An Announcement as it travels. It has no padding, so that bytes can be compared.
struct Wire {
  std::array<char, 24> operation{};
  int64_t count = 0;
  int64_t type = 0;
  int64_t detail = 0;
  int64_t number = 0;
  int64_t fails = 0;
};

/// What a rank brings to rank 0 of its communicator.
struct Visit {
  ncclUniqueId id{};
  int rank = 0;
};

std::string describe(const Wire& wire, int rank) {
  return "rank " + std::to_string(rank) + " calls " + wire.operation.data() + " (count " +
         std::to_string(wire.count) + ", type " + std::to_string(wire.type) + ", detail " +
         std::to_string(wire.detail) + ") as operation " + std::to_string(wire.number);
}

/// Waits for a message at the rendezvous; its source, or -1 when it does not come in time.
int receive_in_time(void* data, int bytes, int source) {
  const double deadline_s = MPI_Wtime() + kRendezvousLimit_s;
  int is_there = 0;
  MPI_Status status;
  while (!is_there && MPI_Wtime() < deadline_s) {
    MPI_Iprobe(source, kRendezvousTag, MPI_COMM_WORLD, &is_there, &status);
  }
  if (!is_there) return -1;
  MPI_Recv(data, bytes, MPI_BYTE, status.MPI_SOURCE, kRendezvousTag, MPI_COMM_WORLD, &status);
  return status.MPI_SOURCE;
}

}  // namespace
}  // namespace actsweep::fakes

using namespace actsweep::fakes;

ncclResult_t ncclComm::announce(const Announcement& announcement) {
  Wire mine;
  announcement.operation.copy(mine.operation.data(), mine.operation.size() - 1);
  mine.count = static_cast<int64_t>(announcement.count);
  mine.type = announcement.type;
  mine.detail = announcement.detail;
  mine.number = ++operations;
  mine.fails =
      injection.strikes(announcement.operation, ++counts[announcement.operation], rank) ? 1 : 0;
  std::vector<Wire> all(size);
  MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, all.data(), sizeof(mine), MPI_BYTE, mpi);
  for (int member = 0; member < size; ++member) {
    Wire other = all[member];
    other.fails = mine.fails;
    if (std::memcmp(&other, &mine, sizeof(mine)) != 0) {
      return refuse(ncclInvalidUsage, describe(mine, rank) + ", " + describe(other, member));
    }
  }
  if (mine.fails) return refuse(ncclSystemError, "injected error in " + announcement.operation);
  for (int member = 0; member < size; ++member) {
    if (all[member].fails) {
      return refuse(ncclRemoteError, "injected error on rank " + std::to_string(member));
    }
  }
  ++process().counts[announcement.operation];
  return ncclSuccess;
}

bool ncclComm::has_error_to_report() const {
  const bool is_due = operations >= injection.at && (injection.rank < 0 || injection.rank == rank);
  if (injection.operation == "async") return is_due;
  const bool is_enqueued = is_settled || operations > injection.at;
  return injection.operation == "late" && is_due && is_enqueued;
}

ncclResult_t ncclComm::done() {
  is_settled = false;
  if (blocking) return ncclSuccess;
  polls_until_settled = injection.strikes("hang", operations, rank) ? INT_MAX : kPollsPerOperation;
  return ncclInProgress;
}

/// On rank 0: fills `members` with the world ranks of the others, who must bring rank 0's own id.
ncclResult_t ncclComm::receive_visitors(const ncclUniqueId& id, std::vector<int>& members) const {
  for (int arrived = 1; arrived < size; ++arrived) {
    Visit visit;
    const int source = receive_in_time(&visit, sizeof(visit), MPI_ANY_SOURCE);
    if (source < 0) return refuse(ncclInvalidUsage, "not all ranks came with rank 0's unique id");
    const bool is_expected = visit.rank > 0 && visit.rank < size && members[visit.rank] < 0;
    if (!is_expected || std::memcmp(&visit.id, &id, sizeof(id)) != 0) {
      return refuse(ncclInvalidUsage, "a rank came with another unique id or a taken rank");
    }
    members[visit.rank] = source;
  }
  return ncclSuccess;
}

ncclResult_t ncclComm::meet(const ncclUniqueId& id) {
  int64_t creator = 0;  // world rank; the first bytes of the id
  std::memcpy(&creator, id.internal, sizeof(creator));
  int world_rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  if ((rank == 0) != (world_rank == creator)) {
    return refuse(ncclInvalidUsage, "the unique id was not made by rank 0");
  }
  std::vector<int> members(size, -1);
  const int list_bytes = size * static_cast<int>(sizeof(int));
  if (rank == 0) {
    members[0] = world_rank;
    const ncclResult_t result = receive_visitors(id, members);
    if (result != ncclSuccess) return result;
    for (int member = 1; member < size; ++member) {
      MPI_Send(members.data(), list_bytes, MPI_BYTE, members[member], kRendezvousTag,
               MPI_COMM_WORLD);
    }
  } else {
    const Visit visit{id, rank};
    const int to = static_cast<int>(creator);
    MPI_Send(&visit, sizeof(visit), MPI_BYTE, to, kRendezvousTag, MPI_COMM_WORLD);
    if (receive_in_time(members.data(), list_bytes, to) < 0) {
      return refuse(ncclInvalidUsage, "rank 0 did not answer for this unique id");
    }
  }
  MPI_Group world, group;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_incl(world, size, members.data(), &group);
  MPI_Comm_create_group(MPI_COMM_WORLD, group, kRendezvousTag, &mpi);
  MPI_Comm_set_errhandler(mpi, MPI_ERRORS_ARE_FATAL);
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  return ncclSuccess;
}
