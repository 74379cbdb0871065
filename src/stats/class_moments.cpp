#include "stats/class_moments.h"

#include "schema/declare_statistics.h"

namespace actsweep {

ClassMoments::ClassMoments(Site site, const Extents& extents, at::Device device)
    : fields_(declare_class_moments(group_of(site)), extents, device) {}

void ClassMoments::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  fields_.add("class_count", batch.layer, measured.class_count);
  fields_.add("class_sum", batch.layer, measured.class_sum);
  fields_.add("class_sum_square", batch.layer, measured.class_sum_square);
}

}  // namespace actsweep
