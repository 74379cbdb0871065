#include "probe/site_taps.h"

#include <algorithm>

namespace actsweep {
namespace {

bool has(const std::vector<Site>& sites, Site site) {
  return std::find(sites.begin(), sites.end(), site) != sites.end();
}

/// The residual stream is tapped between layers, the final norm behind the last.
bool is_inside(Site site) { return site != Site::kResidual && site != Site::kFinalNorm; }

}  // namespace

bool SiteTaps::Listeners::wants(Site site) const { return has(sites, site); }

SiteTaps::SiteTaps(const Architecture& architecture, const Group& group, const Listeners& listeners)
    : listeners_(listeners), own_rows_(architecture, group) {}

void SiteTaps::begin(const OwnedRows& labels) {
  labels_ = &labels;
  seen_.clear();
}

void SiteTaps::end(int64_t layer) {
  for (const Site site : listeners_.sites) {
    if (is_inside(site) && !seen_.contains(site)) {
      listeners_.on_tap({site, layer + 1, {}, *labels_});
    }
  }
}

bool SiteTaps::wants(Site site) const {
  return listeners_.wants(site) || has(listeners_.slices, site);
}

void SiteTaps::see(Site site, int64_t layer, const at::Tensor& rows) {
  if (has(listeners_.slices, site)) listeners_.on_slice(site, layer, rows);
  if (!listeners_.wants(site)) return;
  seen_.insert(site);
  listeners_.on_tap(
      {site, layer + 1, own_rows_.take(facts_of(site).layout, layer, rows), *labels_});
}

}  // namespace actsweep
