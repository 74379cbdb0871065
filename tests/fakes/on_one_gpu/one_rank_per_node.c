/* Preloaded into a rank: it takes itself for the only one of its node, so that it may have the
 * node's GPU. */
#include <mpi.h>

int MPI_Comm_split_type(MPI_Comm communicator, int type, int key, MPI_Info info, MPI_Comm* part) {
  int rank = 0;
  (void)type, (void)key, (void)info;
  PMPI_Comm_rank(communicator, &rank);
  return PMPI_Comm_split(communicator, rank, 0, part);
}
