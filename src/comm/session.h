// MPI's lifetime, and what a rank knows of its place: world, node, model group.
//
// In: argc, argv and the size of a model group. Out: communicators. Refuses (ErrorKind::kJob) a
// world that is no multiple of the model group. MPI is initialised FUNNELED: only the main thread
// makes MPI calls.
#pragma once

#include <mpi.h>

#include <string>

namespace actsweep {

/// Initialises MPI on construction and finalises it on destruction, unless aborted.
class MpiSession {
 public:
  MpiSession(int* argc, char*** argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }
  /// Ends all ranks with this exit code at once.
  [[noreturn]] void abort(int exit_code) const;

 private:
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
};

/// A communicator that is freed with its owner.
class Communicator {
 public:
  explicit Communicator(MPI_Comm communicator) : communicator_(communicator) {}
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  MPI_Comm get() const { return communicator_; }

 private:
  MPI_Comm communicator_;
};

int rank_in(MPI_Comm communicator);
int size_of(MPI_Comm communicator);
/// Collective over `parent`: members with the same `color` form a new communicator, in the order of
/// their `key`s, then of their ranks.
MPI_Comm split(MPI_Comm parent, int color, int key = 0);
/// Collective over `parent`: the members of each node, in the order of their ranks.
MPI_Comm split_by_node(MPI_Comm parent);
/// The name of this node, as MPI has it.
std::string node_name();

/// Collective over `communicator`: the threads a rank of this node can have to itself, the same on
/// every rank: the cores that the node's ranks may use together, divided by their number, at
/// least 1.
int threads_per_rank(MPI_Comm communicator);

/// The MPI library's own name and version, one line.
std::string mpi_library_version();

/// Throws Error(kDevice) naming `operation` unless `status` is MPI_SUCCESS.
void check_mpi(int status, const char* operation);

}  // namespace actsweep
