#include "stats/magnitude_histogram.h"

#include "schema/declare_statistics.h"

namespace actsweep {

MagnitudeHistogram::MagnitudeHistogram(Site site, const Extents& extents, at::Device device)
    : fields_(declare_magnitude_histogram(group_of(site)), extents, device) {}

void MagnitudeHistogram::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  fields_.add("magnitude_histogram", batch.layer, measured.histogram);
}

}  // namespace actsweep
