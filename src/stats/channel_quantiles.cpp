#include "stats/channel_quantiles.h"

#include "measure/channel_histogram.h"
#include "schema/declare_statistics.h"

namespace actsweep {

ChannelQuantiles::ChannelQuantiles(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_channel_histogram(group_of(site, value_width_of(extents))),
                         extents, device)) {}

void ChannelQuantiles::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const auto rows = measured.finite_rows(*batch.labels);
  if (rows.empty()) return;
  count_quarter_octaves(batch.rows, rows, fields_.layer("channel_histogram", batch.layer));
}

}  // namespace actsweep
