// Which kernel a GPU takes for attention, in words: ATen chooses by shape, type and device.
#pragma once

#include <c10/core/Device.h>

#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "job/job.h"

namespace actsweep {

/// One line for each sliding window that layers have and for none, of rank 0's heads. They hold
/// where scores are neither capped nor biased nor joined by sinks: those layers write the softmax
/// out, a chunk at a time.
std::vector<std::string> attention_kernels_of(const Architecture& architecture, const Job& job,
                                              at::Device device);

}  // namespace actsweep
