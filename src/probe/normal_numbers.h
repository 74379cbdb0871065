// Normal random numbers that follow from a place in the corpus alone, for any number of ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "probe/token_matches.h"

namespace actsweep {

/// [M, K] float64 on the host, of mean 0 and deviation 1, by Box and Muller (1958) from SplitMix64:
/// they follow from the seed, the layer, and each match's sequence and position, and from the
/// channel. `channels` [M or 1, K] int64 on the host.
at::Tensor normal_numbers(uint64_t seed, uint64_t layer, const std::vector<TokenMatch>& matches,
                          const at::Tensor& channels);

}  // namespace actsweep
