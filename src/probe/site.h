// Where the sites are: in which layers, how wide, and how their rows lie over the model group.
// Mentions no tensor.
#pragma once

#include "checkpoint/architecture.h"
#include "job/job.h"

namespace actsweep {

enum class SiteLayout {
  kOwned,    // whole rows of the sequences that the rank owns
  kHeads,    // all gathered rows, the rank's query heads
  kKeys,     // all gathered rows, the rank's key/value heads; a neighbour may repeat one
  kNeurons,  // all gathered rows, the rank's neurons
  kShared,   // all gathered rows, whole on every rank
};

inline SiteLayout layout_of(Site site) {
  switch (site) {
    case Site::kQueryLatent:
    case Site::kKeyValueLatent:
      return SiteLayout::kShared;
    case Site::kQuery:
    case Site::kAttentionHeads:
      return SiteLayout::kHeads;
    case Site::kKey:
    case Site::kValue:
      return SiteLayout::kKeys;
    case Site::kGate:
    case Site::kUp:
    case Site::kMlpHidden:
      return SiteLayout::kNeurons;
    default:
      return SiteLayout::kOwned;
  }
}

/// Whether a head's channels there are those of a value, and not those of a query or a key.
inline bool has_value_channels(Site site) {
  return site == Site::kValue || site == Site::kAttentionHeads;
}

/// Whether layer `layer` (0-based; -1: the embedding) has a site. The residual stream is between
/// layers, the final norm behind the last: of these it is always true.
bool has_site(const Architecture& architecture, int64_t layer, Site site);

/// Channels of a row over all members of a group; of models whose heads are of one size.
int64_t site_width(const Architecture& architecture, Site site);

}  // namespace actsweep
