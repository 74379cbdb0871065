// Sites: where in a layer activations are measured. One row per site.
#pragma once

#include <string>
#include <vector>

namespace actsweep {

struct Site {
  const char* name;  // the group in the sweep file, and the word in the job
  const char* long_name;
};

/// All sites, in the order of the documentation.
const std::vector<Site>& sites();

}  // namespace actsweep
