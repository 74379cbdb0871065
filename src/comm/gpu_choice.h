// Which GPU each rank of a node takes, from what each rank sees of them.
//
// Launchers hand GPUs out in several ways: all of a node's to each of its ranks, one to each, or
// some in between; each rank numbers those that it sees from 0. Pure.
#pragma once

#include <string>
#include <vector>

namespace actsweep {

/// By rank of the node, the names (UUIDs) of the GPUs that it sees, in its numbering.
using SeenGpus = std::vector<std::vector<std::string>>;

/// By rank of the node, the number of its GPU in its own numbering: one that no other rank takes,
/// number `local rank` where it can; empty where no rank sees any. Refuses (ErrorKind::kDevice)
/// what gives not every rank its own, with what was seen by whom.
std::vector<int> choose_gpus(const SeenGpus& seen, const std::string& node);

}  // namespace actsweep
