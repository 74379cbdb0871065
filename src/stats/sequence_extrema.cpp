#include "stats/sequence_extrema.h"

#include <cmath>
#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

SequenceExtrema::SequenceExtrema(Site site, int64_t top_k)
    : top_k_(top_k), datasets_(declare_sequence_extrema(group_of(site))) {}

void SequenceExtrema::update(const SiteBatch& batch, const Measured& measured,
                             const Outputs& outputs) {
  const auto& windows = batch.labels->windows;
  const size_t places = windows.size() * static_cast<size_t>(top_k_);
  value_.assign(places, std::numeric_limits<float>::quiet_NaN());
  channel_.assign(places, kNoIndex);
  position_.assign(places, kNoIndex);
  int64_t first_token = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    select_top(measured, static_cast<int64_t>(i), first_token, windows[i].length());
    first_token += windows[i].length();
  }
  outputs.sink.append(datasets_[0], bytes_of(value_));
  outputs.sink.append(datasets_[1], bytes_of(channel_));
  outputs.sink.append(datasets_[2], bytes_of(position_));
  outputs.sink.append(datasets_[3], bytes_of(measured.sequence_median));
}

/// A value among the top k of its sequence is among the top k of its token. Tokens come by rising
/// position and their values by falling magnitude, so that a value which does not pass the k-th
/// ends its token and ties stay in order.
void SequenceExtrema::select_top(const Measured& measured, int64_t window, int64_t first_token,
                                 int64_t length) {
  float* value = value_.data() + window * top_k_;
  uint32_t* channel = channel_.data() + window * top_k_;
  uint32_t* position = position_.data() + window * top_k_;
  int64_t kept = 0;
  for (int64_t at = 0; at < length; ++at) {
    const int64_t row = (first_token + at) * top_k_;
    for (int64_t order = 0; order < top_k_; ++order) {
      const float candidate = measured.token_top_value[row + order];
      const float magnitude = std::fabs(candidate);
      if (std::isnan(candidate)) break;
      if (kept == top_k_ && magnitude <= std::fabs(value[kept - 1])) break;
      int64_t place = kept < top_k_ ? kept++ : kept - 1;
      for (; place > 0 && std::fabs(value[place - 1]) < magnitude; --place) {
        value[place] = value[place - 1];
        channel[place] = channel[place - 1];
        position[place] = position[place - 1];
      }
      value[place] = candidate;
      channel[place] = measured.token_top_channel[row + order];
      position[place] = static_cast<uint32_t>(at);
    }
  }
}

}  // namespace actsweep
