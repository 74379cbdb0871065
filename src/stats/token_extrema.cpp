#include "stats/token_extrema.h"

#include "schema/declare_statistics.h"

namespace actsweep {

TokenExtrema::TokenExtrema(Site site, PerToken per_token)
    : datasets_(declare_token_extrema(group_of(site), per_token)) {}

void TokenExtrema::update(const SiteBatch&, const Measured& measured, const Outputs& outputs) {
  if (datasets_.empty()) return;
  outputs.sink.append(datasets_[0], bytes_of(measured.token_top_value));
  outputs.sink.append(datasets_[1], bytes_of(measured.token_top_channel));
  outputs.sink.append(datasets_[2], bytes_of(measured.token_median));
  outputs.sink.append(datasets_[3], bytes_of(measured.token_norm));
}

}  // namespace actsweep
