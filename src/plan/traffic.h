// Bytes that a rank moves for its tokens: element-wise steps, collectives, weights, rows. Pure
// arithmetic.
#pragma once

#include <cstdint>

#include "plan/demand.h"
#include "plan/machine.h"
#include "weights/share.h"

namespace actsweep {

/// Bytes that element-wise steps read and write for one token of a model group, on one rank of
/// `members`: norms, additions, rotary positions, gates, partial sums that are added.
double elementwise_bytes(const SweepFacts& facts, const ModelShare& share, int64_t members);

/// What a rank receives for one token of its model group.
struct CollectiveBytes {
  double within_node = 0;
  double into_node = 0;  // what all ranks of the node receive from other nodes, together
};

/// All-gathers and reduce-scatters of all layers. Ranks stand in the order of nodes.
CollectiveBytes collective_bytes(const SweepFacts& facts, int64_t members, int64_t ranks_per_node);

/// Bytes of rows that the statistics read for one token, over all layers.
double measured_bytes(const SweepFacts& facts);

/// Bytes of rows that one token adds to the files, over all layers.
double row_bytes_of_token(const SweepFacts& facts);

/// How often the weights go to a rank: once, or once a block where they are streamed.
double passes_over_weights(const SweepFacts& facts, int64_t replicas, int64_t block_windows);

}  // namespace actsweep
