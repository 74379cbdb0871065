#include "probe/site.h"

namespace actsweep {
namespace {

int64_t latent_width(const Architecture& a, Site site) {
  return site == Site::kQueryLatent ? a.latent.query : a.latent.key_value;
}

}  // namespace

bool has_site(const Architecture& a, int64_t layer, Site site) {
  if (site == Site::kResidual || site == Site::kFinalNorm) return true;
  if (layer < 0) return false;
  switch (layout_of(site)) {
    case SiteLayout::kOwned:
      if (site == Site::kStateOutput) return a.has_states_beside(layer);
      return site == Site::kMlpInput || site == Site::kMlpOutput ? a.has_mlp(layer)
                                                                 : a.has_mixer(layer);
    case SiteLayout::kHeads:
    case SiteLayout::kKeys:
    case SiteLayout::kShared:
      return a.has_attention(layer);
    case SiteLayout::kNeurons:
      return a.has_mlp(layer) && (!a.has_experts(layer) || a.experts.shared_width > 0);
  }
  return true;
}

int64_t site_width(const Architecture& a, Site site) {
  const int64_t head = has_value_channels(site) ? a.value_channels() : a.head_width;
  switch (layout_of(site)) {
    case SiteLayout::kHeads:
      return a.heads * head;
    case SiteLayout::kKeys:
      return a.kv_heads * head;
    case SiteLayout::kNeurons:
      return a.dense_width();
    case SiteLayout::kShared:
      return latent_width(a, site);
    case SiteLayout::kOwned:
      break;
  }
  return a.channels;
}

}  // namespace actsweep
