// What the machine gives: memory, disk, the rate of its matrix products.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "job/job.h"

namespace actsweep {

/// Bytes of memory that a process may take on this node now: what the system calls available,
/// within the limits of its control group; on a GPU, its free memory.
int64_t available_memory_bytes(at::Device device);
/// Bytes free for this user where `path` lies or will lie.
int64_t free_disk_bytes(const std::string& path);
/// Floating-point operations per second of a square product in this dtype, over a few
/// hundredths of a second.
double measure_product_rate(Dtype dtype, at::Device device);

}  // namespace actsweep
