#include "probe/site_taps.h"

#include <algorithm>
#include <utility>

namespace actsweep {
namespace {

bool has(const std::vector<Site>& sites, Site site) {
  return std::find(sites.begin(), sites.end(), site) != sites.end();
}

}  // namespace

bool SiteTaps::Listeners::wants(Site site) const { return has(sites, site); }

SiteTaps::SiteTaps(const Architecture& architecture, const Group& group, Listeners listeners,
                   StreamInterventions changes)
    : a_(architecture),
      group_(group),
      listeners_(std::move(listeners)),
      changes_(std::move(changes)),
      own_rows_(architecture, group) {}

void SiteTaps::end(int64_t layer) {
  for (const Site site : listeners_.sites) {
    if (!has_site(a_, layer, site)) listeners_.on_tap({site, layer + 1, {}, *labels_});
  }
  const bool has_attention = layer >= 0 && a_.has_attention(layer);
  if (listeners_.on_no_attention && !has_attention) listeners_.on_no_attention(*labels_);
}

bool SiteTaps::wants(Site site) const {
  return listeners_.wants(site) || has(listeners_.slices, site);
}

bool SiteTaps::changes(Site site, int64_t layer) const {
  return changes_.apply_at(site, layer + 1);
}

void SiteTaps::change(Site site, int64_t layer, const at::Tensor& rows) {
  auto whole = own_rows_.take(site, layer, rows);
  changes_.apply(site, layer + 1, *labels_, whole, group_);
  own_rows_.give_back(site, layer, whole, rows);
}

void SiteTaps::see(Site site, int64_t layer, const at::Tensor& rows) {
  if (has(listeners_.slices, site)) listeners_.on_slice(site, layer, rows);
  if (!listeners_.wants(site)) return;
  listeners_.on_tap({site, layer + 1, own_rows_.take(site, layer, rows), *labels_});
}

}  // namespace actsweep
