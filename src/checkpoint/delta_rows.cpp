// The rows of the gated delta rule, which ranks cut by key heads.
#include <numeric>

#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// Where the elements of a part stand on its stored axis: runs of `length`, one for each key head,
/// that begin `stride` apart.
struct TensorRows::DeltaPart {
  int64_t length = 0;
  int64_t stride = 0;
  int64_t first = 0;
  int64_t unit = 1;  // divides the others

  void place(TensorRow& row) const {
    row.cut = Cut::kDeltaHeads;
    row.unit = unit;
    row.per_cut = length / unit;
    row.order.first = first / unit;
    if (stride == length) return;
    row.order.per_group = length / unit;
    row.order.group_stride = stride / unit;
  }
};

/// Queries, keys and values of all key heads, one after the other.
std::vector<TensorRows::DeltaPart> TensorRows::delta_channels() const {
  const auto& d = a_.delta;
  const int64_t keys = d.key_heads * d.key_width, values = d.value_channels();
  const int64_t unit = std::gcd(d.key_width, d.value_width);
  return {{d.key_width, d.key_width, 0, unit},
          {d.key_width, d.key_width, keys, unit},
          {values, values, 2 * keys, unit}};
}

void TensorRows::delta_product(const std::string& name, int part, int64_t stored,
                               const DeltaPart& place) {
  place.place(product(name, Weight::kMixerIn, part, Cut::kDeltaHeads, 0, {stored, a_.channels}));
}

TensorRows& TensorRows::fused_delta_projections(const std::string& qkvz, const std::string& ba) {
  const auto& d = a_.delta;
  const int64_t values = d.value_channels(), heads = d.values_per_key();
  const int64_t unit = std::gcd(d.key_width, d.value_width);
  const int64_t stride = 2 * (d.key_width + values), stored = d.key_heads * stride;
  delta_product(qkvz, 0, stored, {d.key_width, stride, 0, unit});
  delta_product(qkvz, 1, stored, {d.key_width, stride, d.key_width, unit});
  delta_product(qkvz, 2, stored, {values, stride, 2 * d.key_width, unit});
  delta_product(qkvz, 3, stored, {values, stride, 2 * d.key_width + values, unit});
  delta_product(ba, 4, 2 * d.value_heads, {heads, 2 * heads, 0, 1});
  delta_product(ba, 5, 2 * d.value_heads, {heads, 2 * heads, heads, 1});
  return *this;
}

TensorRows& TensorRows::delta_projections(const std::string& qkv, const std::string& z,
                                          const std::string& b, const std::string& a) {
  const auto& d = a_.delta;
  const int64_t values = d.value_channels(), heads = d.values_per_key();
  const auto channels = delta_channels();
  for (int part = 0; part < 3; ++part) {
    delta_product(qkv, part, d.convolved_channels(), channels[part]);
  }
  delta_product(z, 3, d.key_heads * values, {values, values, 0, d.value_width});
  delta_product(b, 4, d.value_heads, {heads, heads, 0, 1});
  delta_product(a, 5, d.value_heads, {heads, heads, 0, 1});
  return *this;
}

TensorRows& TensorRows::delta_rule(const std::string& prefix) {
  const auto& d = a_.delta;
  const int64_t heads = d.values_per_key();
  const auto channels = delta_channels();
  for (int part = 0; part < 3; ++part) {
    auto& row = vector(prefix + "conv1d.weight", Weight::kConvolution, part, Cut::kDeltaHeads,
                       d.convolved_channels());
    row.shape = {d.convolved_channels(), 1, d.taps};
    channels[part].place(row);
  }
  const DeltaPart of_heads = {heads, heads, 0, 1};
  of_heads.place(vector(prefix + "A_log", Weight::kDecay, 0, Cut::kDeltaHeads, d.value_heads));
  of_heads.place(vector(prefix + "dt_bias", Weight::kStepBias, 0, Cut::kDeltaHeads, d.value_heads));
  vector(prefix + "norm.weight", Weight::kMixerNorm, 0, Cut::kNone, d.value_width);
  const DeltaPart values = {d.value_channels(), d.value_channels(), 0, d.value_width};
  values.place(product(prefix + "out_proj", Weight::kAttentionOutput, 0, Cut::kDeltaHeads, 1,
                       {a_.channels, d.value_heads * d.value_width}));
  return *this;
}

}  // namespace actsweep
