// What `show` says of interventions: those on the sweep itself, and the variants' perplexities and
// accuracies beside the original's. Empty for a file without them.
#pragma once

#include <string>

#include "base/h5.h"

namespace actsweep {

/// A line of the header for each intervention on the sweep itself.
std::string intervention_lines(const H5File& file);
std::string variant_table(const H5File& file);
/// Of labelled images, with variants or without.
std::string classification_table(const H5File& file);

}  // namespace actsweep
