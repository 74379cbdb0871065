// The channels of control interventions: equally many activations elsewhere.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace actsweep {

/// For each row of [M, C] float32, whose values are finite: the `count` channels whose magnitude is
/// nearest the row's lower median magnitude, nearest first, ties to the lower channel. [M, count]
/// int64.
at::Tensor median_channels(const at::Tensor& rows, int64_t count);

/// `count` different channels of `channels`, by the generator of docs/interventions.md.
std::vector<int64_t> random_channels(uint64_t seed, uint64_t sequence, uint64_t layer,
                                     int64_t channels, int64_t count);

}  // namespace actsweep
