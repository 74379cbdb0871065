#include "model/latent_heads.h"

#include <ATen/ATen.h>

#include "kernels/product.h"

namespace actsweep {

LatentHeads::LatentHeads(const Architecture& architecture, const ModelShare& share,
                         int64_t positions, at::Device device)
    : a_(architecture),
      share_(share),
      ops_(row_ops_of(device)),
      rotary_(architecture, positions, device) {}

int64_t LatentHeads::wide_width() const {
  return (share_.query_heads.size() + 2 * share_.key_heads.size()) * a_.widest_head();
}

int64_t LatentHeads::out_width() const { return share_.query_heads.size() * a_.value_channels(); }

/// rows [n, in] -> [n, out].
at::Tensor LatentHeads::latent(const at::Tensor& rows, const at::Tensor& weight,
                               const at::Tensor& bias) const {
  auto out = at::empty({rows.size(0), weight.size(0)}, rows.options());
  project(rows, weight, bias, out);
  return out;
}

/// The first channels of a latent, as many as the norm has.
void LatentHeads::normalise(const at::Tensor& weight, at::Tensor& latent) const {
  ops_.normalise_heads(latent, {0, 1, weight.size(0)},
                       {NormKind::kRms, weight, {}, a_.latent.epsilon, 0});
}

void LatentHeads::place_queries(const StageWeights& weights, const at::Tensor& rows,
                                at::Tensor& qkv) const {
  auto from = rows;
  if (weights.has(Weight::kQueryDown)) {
    from = latent(rows, weights[Weight::kQueryDown], weights[Weight::kQueryDownBias]);
    normalise(weights[Weight::kQueryLatentNorm], from);
  }
  const int64_t queries = share_.query_heads.size(), rotated = a_.latent.rotated;
  const int64_t plain = a_.head_width - rotated;
  const auto made =
      latent(from, weights[Weight::kLatentQuery], {}).view({-1, queries, a_.head_width});
  const auto target =
      qkv.narrow(1, 0, queries * a_.widest_head()).view({-1, queries, a_.widest_head()});
  target.narrow(2, 0, rotated).copy_(made.narrow(2, plain, rotated));
  target.narrow(2, rotated, plain).copy_(made.narrow(2, 0, plain));
}

void LatentHeads::place_keys_and_values(const StageWeights& weights, const at::Tensor& rows,
                                        at::Tensor& qkv) const {
  auto down = latent(rows, weights[Weight::kKeyValueDown], weights[Weight::kKeyValueDownBias]);
  normalise(weights[Weight::kKeyValueLatentNorm], down);
  const int64_t keys = share_.key_heads.size(), widest = a_.widest_head();
  const int64_t rotated = a_.latent.rotated, plain = a_.head_width - rotated;
  const auto shared = down.narrow(1, a_.latent.key_value, rotated).unsqueeze(1);  // by all heads
  const auto from = down.narrow(1, 0, a_.latent.key_value).contiguous();
  const auto made =
      latent(from, weights[Weight::kLatentKeyValue], {}).view({-1, keys, plain + a_.value_width});
  const auto place = [&](int64_t first) {
    return qkv.narrow(1, first * widest, keys * widest).view({-1, keys, widest});
  };
  const auto key = place(share_.query_heads.size()),
             value = place(share_.query_heads.size() + keys);
  key.narrow(2, 0, rotated).copy_(shared.expand({-1, keys, -1}));
  key.narrow(2, rotated, plain).copy_(made.narrow(2, 0, plain));
  value.narrow(2, 0, a_.value_width).copy_(made.narrow(2, plain, a_.value_width));
}

void LatentHeads::rotate(int64_t layer, const Sequences& sequences, at::Tensor& qkv) {
  const int rope = a_.rope_of_layer[layer];
  const RotaryHeads heads = {share_.query_heads.size() + share_.key_heads.size(), a_.widest_head(),
                             sequences.positions};
  if (!a_.ropes[rope].follows_length()) {
    return ops_.rotate(qkv, heads, rotary_.table(rope, sequences.positions));
  }
  for (size_t i = 0; i < sequences.length.size(); ++i) {
    auto rows = qkv.narrow(0, static_cast<int64_t>(i) * sequences.positions, sequences.positions);
    ops_.rotate(rows, heads, rotary_.table(rope, sequences.length[i]));
  }
}

void LatentHeads::run(const StageWeights& weights, const LayerView& view,
                      const Sequences& sequences, MixerRows& rows) {
  const int64_t queries = share_.query_heads.size(), widest = a_.widest_head();
  if (queries == 0) return;
  auto& qkv = rows.wide;
  if (a_.head_width != a_.value_width) qkv.zero_();
  place_queries(weights, rows.in, qkv);
  place_keys_and_values(weights, rows.in, qkv);
  rotate(view.layer, sequences, qkv);
  const AttentionCall call = {{sequences.positions, queries, share_.key_heads.size(), widest,
                               a_.window[view.layer], a_.is_causal},
                              {a_.attention_scale},
                              share_.runs};
  if (a_.value_width == widest) return attend(qkv, call, rows.out);
  auto out = at::empty({rows.in.size(0), queries * widest}, rows.in.options());
  attend(qkv, call, out);
  rows.out.view({-1, queries, a_.value_width})
      .copy_(out.view({-1, queries, widest}).narrow(2, 0, a_.value_width));
}

}  // namespace actsweep
