#include "measure/measurement.h"

#include <limits>

namespace actsweep {

void Measured::prepare_rows(const OwnedRows& labels, int64_t top_k) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const size_t tokens = static_cast<size_t>(labels.real_tokens());
  is_finite.assign(tokens, 0);
  token_top_value.assign(tokens * top_k, kNan);
  token_top_channel.assign(tokens * top_k, kNoIndex);
  token_median.assign(tokens, kNan);
  token_norm.assign(tokens, kNan);
  sequence_median.assign(labels.windows.size(), kNan);
}

}  // namespace actsweep
