// Where the ranks of a world lie, what they compute with, and which of them may form model groups.
//
// In: what each rank says of itself. Out: the order of ranks, by node, from which groups are cut;
// what is odd and still swept. Refuses (ErrorKind::kDevice), naming nodes and ranks, a model group
// whose members differ in what decides the bits of a sum, and one that crosses nodes where the job
// does not allow it. Pure but for gather_facts().
#pragma once

#include <mpi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace actsweep {

struct RankFacts {
  std::string node;
  std::string device;        // kind and model
  std::string instructions;  // of the CPU
  std::string program;       // version and commit
  std::string torch;         // LibTorch's version
};

/// Collective over `communicator`: the facts of all ranks, by rank.
std::vector<RankFacts> gather_facts(const RankFacts& mine, MPI_Comm communicator);

struct Placement {
  /// By rank: its place in the order of nodes. Ranks of one node are neighbours, in their own
  /// order; nodes come in the order of their first ranks. Group g has places g * m to g * m + m.
  std::vector<int> places;
  bool is_mixed = false;              // model groups differ
  std::vector<std::string> warnings;  // how
};

/// For model groups of `members` ranks.
Placement place_ranks(const std::vector<RankFacts>& ranks, int64_t members, bool across_nodes);

}  // namespace actsweep
