#include "stats/channel_moments.h"

#include "schema/declare_statistics.h"

namespace actsweep {

ChannelMoments::ChannelMoments(Site site, const Extents& extents, at::Device device)
    : fields_(declare_channel_moments(group_of(site)), extents, device) {}

void ChannelMoments::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const int64_t layer = batch.layer;
  const auto tokens = static_cast<int64_t>(measured.is_finite.size());
  fields_.add("count", layer, tokens - measured.nonfinite_tokens);
  fields_.add("nonfinite_tokens", layer, measured.nonfinite_tokens);
  fields_.add_total("channel_sum", layer, measured.class_sum);
  fields_.add_total("channel_sum_square", layer, measured.class_sum_square);
  fields_.add("channel_sum_fourth", layer, measured.sum_fourth);
  fields_.add("channel_count_above_6", layer, measured.count_above_6);
  fields_.raise("channel_max_magnitude", layer, measured.max_magnitude);
}

}  // namespace actsweep
