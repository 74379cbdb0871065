// What `actsweep show` says of sites: their largest activations, whatever of them the file holds.
#pragma once

#include <string>

#include "base/h5.h"

namespace actsweep {

/// The largest magnitude of each site that the file has, and the tokens that entered no statistic;
/// empty where it has none.
std::string site_table(const H5File& file);
/// The token at which each site has its largest magnitude, with the text around it; empty where the
/// file names none.
std::string token_table(const H5File& file);

}  // namespace actsweep
