// Whether the labels of images fit what tells their classes.
#pragma once

#include <string>

#include "run/inputs.h"

namespace actsweep {

/// Refuses (kCorpus) images without labels, and labels beyond the classifier's classes.
void check_labels(const SweepInputs& inputs);

/// Of all labels and their names.
std::string labels_hash(const ImageFile& images);

}  // namespace actsweep
