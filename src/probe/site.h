// How the rows of a site lie over the model group. Mentions no tensor.
#pragma once

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

}  // namespace actsweep
