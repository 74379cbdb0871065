// The MPI backend of Group: collectives over host tensors.
//
// Sums are made in rank order from exchanged pieces, so that no library's algorithm decides their
// last bits.
#pragma once

#include <mpi.h>

#include <memory>

#include "comm/group.h"

namespace actsweep {

/// A backend over the members of `communicator` (borrowed). Collective over them.
std::shared_ptr<GroupBackend> make_mpi_backend(MPI_Comm communicator);

}  // namespace actsweep
