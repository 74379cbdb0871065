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
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  rank_ = rank_in(MPI_COMM_WORLD);
  size_ = size_of(MPI_COMM_WORLD);
  const Communicator node(split_by_node(MPI_COMM_WORLD));
  local_rank_ = rank_in(node.get());
  local_size_ = size_of(node.get());
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

int rank_in(MPI_Comm communicator) {
  int rank = 0;
  check_mpi(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
  return rank;
}

int size_of(MPI_Comm communicator) {
  int size = 1;
  check_mpi(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
  return size;
}

MPI_Comm split(MPI_Comm parent, int color, int key) {
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(parent, color, key, &part), "MPI_Comm_split");
  check_mpi(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return part;
}

MPI_Comm split_by_node(MPI_Comm parent) {
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(parent, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &part),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return part;
}

std::string node_name() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  check_mpi(MPI_Get_processor_name(name.data(), &length), "MPI_Get_processor_name");
  return {name.data(), static_cast<size_t>(length)};
}

int threads_per_rank(MPI_Comm communicator) {
  const Communicator node(split_by_node(communicator));
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
  // A rank that its launcher has bound to fewer cores than its share keeps to those.
  int threads = std::max(1, std::min(CPU_COUNT(&all) / size_of(node.get()), CPU_COUNT(&mine)));
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &threads, 1, MPI_INT, MPI_MIN, communicator),
            "MPI_Allreduce");
  return threads;
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version");
  std::string version(text.data(), length);
  return version.substr(0, version.find_first_of(",\n"));
}

}  // namespace actsweep
