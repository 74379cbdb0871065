#include "measure/measurement.h"

#include <ATen/ATen.h>

#include <limits>

#include "schema/declare.h"

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

void Measured::clear_sums(int64_t channels, at::Device device) {
  const auto zeros = [&](at::IntArrayRef sizes, at::ScalarType type) {
    return at::zeros(sizes, at::TensorOptions(device).dtype(type));
  };
  class_count = zeros({kClasses}, at::kLong);
  class_sum = zeros({kClasses, channels}, at::kDouble);
  class_sum_square = zeros({kClasses, channels}, at::kDouble);
  sum_fourth = zeros({channels}, at::kDouble);
  max_magnitude = zeros({channels}, at::kFloat);
  count_above_6 = zeros({channels}, at::kLong);
  histogram = zeros({kMagnitudeBins}, at::kLong);
}

}  // namespace actsweep
