// Texts from rank to rank, of any length. Every function is collective over `communicator`.
#pragma once

#include <mpi.h>

#include <string>
#include <vector>

namespace actsweep {

/// Rank 0's text, or list of texts, on every rank.
void broadcast(std::string& text, MPI_Comm communicator);
void broadcast(std::vector<std::string>& texts, MPI_Comm communicator);
/// The text of each rank, in rank order, on every rank.
std::vector<std::string> gather_texts(const std::string& mine, MPI_Comm communicator);

}  // namespace actsweep
