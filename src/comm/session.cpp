#include "comm/session.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/h5.h"

namespace actsweep {

void check_mpi(int status, const char* operation) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  fail(ErrorKind::kDevice, "MPI failed in {}: {}", operation, std::string(text.data(), length));
}

MpiSession::MpiSession(int* argc, char*** argv) {
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  require(provided >= MPI_THREAD_FUNNELED, ErrorKind::kDevice,
          "this MPI library allows no threads beside the one that calls it: expected "
          "MPI_THREAD_FUNNELED, found level {}",
          provided);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  MPI_Comm_rank(node, &local_rank_);
  MPI_Comm_size(node, &local_size_);
  MPI_Comm_free(&node);
}

MpiSession::~MpiSession() {
  if (hdf5_cannot_end()) abort(static_cast<int>(ErrorKind::kOutput));
  MPI_Finalize();
}

void MpiSession::abort(int exit_code) const {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

Communicator::~Communicator() {
  if (communicator_ != MPI_COMM_NULL) MPI_Comm_free(&communicator_);
}

MPI_Comm split(MPI_Comm parent, int color) {
  int rank = 0;
  MPI_Comm_rank(parent, &rank);
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(parent, color, rank, &part), "MPI_Comm_split");
  MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN);
  return part;
}

int threads_per_rank(MPI_Comm communicator) {
  Communicator node([&] {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &part),
              "MPI_Comm_split_type");
    return part;
  }());
  cpu_set_t mine;
  CPU_ZERO(&mine);
  sched_getaffinity(0, sizeof(mine), &mine);
  std::array<uint8_t, sizeof(cpu_set_t)> own{}, together{};
  std::memcpy(own.data(), &mine, sizeof(mine));
  check_mpi(MPI_Allreduce(own.data(), together.data(), static_cast<int>(own.size()), MPI_UINT8_T,
                          MPI_BOR, node.get()),
            "MPI_Allreduce");
  cpu_set_t all;
  std::memcpy(&all, together.data(), sizeof(all));
  int local_size = 1;
  MPI_Comm_size(node.get(), &local_size);
  // A rank that its launcher has bound to fewer cores than its share keeps to those.
  int threads = std::max(1, std::min(CPU_COUNT(&all) / local_size, CPU_COUNT(&mine)));
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &threads, 1, MPI_INT, MPI_MIN, communicator),
            "MPI_Allreduce");
  return threads;
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string version(text.data(), length);
  return version.substr(0, version.find_first_of(",\n"));
}

}  // namespace actsweep
