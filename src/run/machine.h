// What the machine gives: memory, disk, the rate of its matrix products.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "plan/demand.h"
#include "plan/machine.h"

namespace actsweep {

/// Bytes of memory that a sweep takes at most on each of `ranks` processes of this node: four
/// fifths of its share of what the system, control groups and Slurm leave them now, within its own
/// limits; on a GPU, of its free memory.
int64_t memory_to_plan_bytes(at::Device device, int64_t ranks);
/// Bytes free for this user where `path` lies or will lie.
int64_t free_disk_bytes(const std::string& path);

}  // namespace actsweep
