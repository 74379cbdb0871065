// Sites: where in a layer activations are measured. One row per site.
#pragma once

#include <vector>

#include "job/job.h"

namespace actsweep {

/// How a site's rows lie over the model group.
enum class SiteLayout {
  kOwned,    // whole rows of the sequences that the rank owns
  kHeads,    // all gathered rows, the rank's query heads
  kKeys,     // all gathered rows, the rank's key/value heads; a neighbour may repeat one
  kNeurons,  // all gathered rows, the rank's neurons
};

struct SiteFacts {
  Site site;
  SiteLayout layout;
  const char* long_name;
};

/// All sites, in the order of the documentation.
const std::vector<SiteFacts>& site_facts();
const SiteFacts& facts_of(Site site);

}  // namespace actsweep
