#include "stats/channel_moments.h"

#include <ATen/ATen.h>

#include "stats/declare_statistics.h"

namespace actsweep {

ChannelMoments::ChannelMoments(Site site, const Extents& extents, at::Device device)
    : fields_(declare_channel_moments(group_of(site)), extents, device) {}

void ChannelMoments::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const auto field = [&](const char* name) { return fields_.layer(name, batch.layer); };
  field("count").add_(measured.class_count.sum());
  field("nonfinite_tokens").add_(measured.nonfinite_tokens);
  field("channel_sum").add_(measured.class_sum.sum(0));
  field("channel_sum_square").add_(measured.class_sum_square.sum(0));
  field("channel_sum_fourth").add_(measured.sum_fourth);
  field("channel_count_above_6").add_(measured.count_above_6);
  at::Tensor largest = field("channel_max_magnitude");
  largest.copy_(at::maximum(largest, measured.max_magnitude));
}

}  // namespace actsweep
