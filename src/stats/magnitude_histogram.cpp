#include "stats/magnitude_histogram.h"

#include <ATen/ATen.h>

#include "stats/declare_statistics.h"

namespace actsweep {

MagnitudeHistogram::MagnitudeHistogram(const std::string& site, SiteShape shape, at::Device device)
    : fields_(declare_magnitude_histogram(site), shape, device) {}

void MagnitudeHistogram::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  fields_.layer("magnitude_histogram", batch.layer).add_(measured.histogram);
}

}  // namespace actsweep
