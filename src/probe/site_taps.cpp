#include "probe/site_taps.h"

#include <algorithm>
#include <utility>

namespace actsweep {
namespace {

bool has(const std::vector<Site>& sites, Site site) {
  return std::find(sites.begin(), sites.end(), site) != sites.end();
}

/// Whether layer `layer` (0-based; -1: the embedding) lacks a site. The residual stream is tapped
/// between layers, the final norm behind the last.
bool lacks(const Architecture& a, int64_t layer, Site site) {
  if (site == Site::kResidual || site == Site::kFinalNorm) return false;
  if (layer < 0) return true;
  switch (layout_of(site)) {
    case SiteLayout::kOwned:
      return site == Site::kMlpInput || site == Site::kMlpOutput ? !a.has_mlp(layer)
                                                                 : !a.has_mixer(layer);
    case SiteLayout::kHeads:
    case SiteLayout::kKeys:
    case SiteLayout::kShared:
      return !a.has_attention(layer);
    case SiteLayout::kNeurons:
      return !a.has_mlp(layer) || (a.has_experts(layer) && a.experts.shared_width == 0);
  }
  return false;
}

}  // namespace

bool SiteTaps::Listeners::wants(Site site) const { return has(sites, site); }

SiteTaps::SiteTaps(const Architecture& architecture, const Group& group, Listeners listeners)
    : a_(architecture), listeners_(std::move(listeners)), own_rows_(architecture, group) {}

void SiteTaps::end(int64_t layer) {
  for (const Site site : listeners_.sites) {
    if (lacks(a_, layer, site)) listeners_.on_tap({site, layer + 1, {}, *labels_});
  }
  const bool has_attention = layer >= 0 && a_.has_attention(layer);
  if (listeners_.on_no_attention && !has_attention) listeners_.on_no_attention(*labels_);
}

bool SiteTaps::wants(Site site) const {
  return listeners_.wants(site) || has(listeners_.slices, site);
}

void SiteTaps::see(Site site, int64_t layer, const at::Tensor& rows) {
  if (has(listeners_.slices, site)) listeners_.on_slice(site, layer, rows);
  if (!listeners_.wants(site)) return;
  listeners_.on_tap({site, layer + 1, own_rows_.take(site, layer, rows), *labels_});
}

}  // namespace actsweep
