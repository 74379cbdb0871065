// Whether the labels of images fit what tells their classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "run/inputs.h"

namespace actsweep {

/// Refuses (kCorpus) images without labels, and labels beyond the classifier's classes.
void check_labels(const SweepInputs& inputs);

std::string labels_hash(const std::vector<uint32_t>& labels);

}  // namespace actsweep
