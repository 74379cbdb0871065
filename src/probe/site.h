// How the rows of a site lie over the model group. Mentions no tensor.
#pragma once

#include "job/job.h"

namespace actsweep {

enum class SiteLayout {
  kOwned,    // whole rows of the sequences that the rank owns
  kHeads,    // all gathered rows, the rank's query heads
  kKeys,     // all gathered rows, the rank's key/value heads; a neighbour may repeat one
  kNeurons,  // all gathered rows, the rank's neurons
};

inline SiteLayout layout_of(Site site) {
  switch (site) {
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

}  // namespace actsweep
