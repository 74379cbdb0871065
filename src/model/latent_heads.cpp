#include "model/latent_heads.h"

#include <ATen/ATen.h>

#include "kernels/product.h"
#include "kernels/shifted_attention.h"
#include "model/score_shift.h"

namespace actsweep {
namespace {

/// rows [n, in] -> [n, out].
at::Tensor product(const at::Tensor& rows, const at::Tensor& weight, const at::Tensor& bias) {
  auto out = at::empty({rows.size(0), weight.size(0)}, rows.options());
  project(rows, weight, bias, out);
  return out;
}

/// Heads next to each other: [n, heads, width] -> [n, heads * width].
at::Tensor side_by_side(const at::Tensor& heads) {
  return heads.reshape({heads.size(0), heads.size(1) * heads.size(2)});
}

}  // namespace

/// One layer and micro-batch.
struct LatentHeads::Layer {
  const StageWeights& weights;
  const LayerView& view;
  const at::Tensor& in;
  at::Tensor qkv;

  /// `heads` heads of the buffer, all as wide as the widest: [n, heads, width].
  at::Tensor place(int64_t first, int64_t heads, int64_t width) const {
    return qkv.narrow(1, first * width, heads * width).view({qkv.size(0), heads, width});
  }
};

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

/// The first channels of a latent, as many as the norm has.
void LatentHeads::normalise(const at::Tensor& weight, at::Tensor& latent) const {
  ops_.normalise_heads(latent, {0, 1, weight.size(0)},
                       {NormKind::kRms, weight, {}, a_.latent.epsilon, 0});
}

/// What queries are made of, [n, latent or C]; undefined where the rank needs none.
at::Tensor LatentHeads::query_latent(const Layer& layer) const {
  const auto& weights = layer.weights;
  if (!weights.has(Weight::kQueryDown)) return layer.in;
  if (!has_heads() && !layer.view.wants(Site::kQueryLatent)) return {};
  auto latent = product(layer.in, weights[Weight::kQueryDown], weights[Weight::kQueryDownBias]);
  layer.view.show(Site::kQueryLatent, latent);
  normalise(weights[Weight::kQueryLatentNorm], latent);
  return latent;
}

/// What keys and values are made of, and behind it the rotated channels of all keys: [n, latent +
/// rotated]; undefined where the rank needs none.
at::Tensor LatentHeads::key_value_latent(const Layer& layer) const {
  const auto& weights = layer.weights;
  if (!has_heads() && !layer.view.wants(Site::kKeyValueLatent)) return {};
  auto latent =
      product(layer.in, weights[Weight::kKeyValueDown], weights[Weight::kKeyValueDownBias]);
  layer.view.show(Site::kKeyValueLatent, latent.narrow(1, 0, a_.latent.key_value));
  normalise(weights[Weight::kKeyValueLatentNorm], latent);
  return latent;
}

/// This rank's heads of a latent: [n, heads, width]; none on a rank without.
at::Tensor LatentHeads::make_heads(const Layer& layer, Weight weight, const at::Tensor& latent,
                                   int64_t heads) const {
  const int64_t rows = layer.in.size(0);
  if (heads == 0) return at::empty({rows, 0, 1}, layer.in.options());
  return product(latent, layer.weights[weight], {}).view({rows, heads, -1});
}

void LatentHeads::place_queries(const Layer& layer) const {
  const auto latent = query_latent(layer);
  const int64_t queries = share_.query_heads.size();
  const auto made =
      show_heads(layer, Site::kQuery, make_heads(layer, Weight::kLatentQuery, latent, queries));
  if (queries == 0) return;
  const int64_t rotated = a_.latent.rotated, plain = a_.head_width - rotated;
  const auto target = layer.place(0, queries, a_.widest_head());
  target.narrow(2, 0, rotated).copy_(made.narrow(2, plain, rotated));
  target.narrow(2, rotated, plain).copy_(made.narrow(2, 0, plain));
}

void LatentHeads::place_keys_and_values(const Layer& layer) const {
  const auto down = key_value_latent(layer);
  const int64_t keys = share_.key_heads.size(), rotated = a_.latent.rotated;
  if (keys == 0) {
    layer.view.show(Site::kKey, layer.qkv);
    layer.view.show(Site::kValue, layer.qkv);
    return;
  }
  const auto shared = down.narrow(1, a_.latent.key_value, rotated).unsqueeze(1);  // by all heads
  const auto made = make_heads(layer, Weight::kLatentKeyValue,
                               down.narrow(1, 0, a_.latent.key_value).contiguous(), keys);
  const int64_t plain = a_.head_width - rotated;
  place_keys(layer, made.narrow(2, 0, plain), shared.expand({-1, keys, -1}));
  const auto value = show_heads(layer, Site::kValue, made.narrow(2, plain, a_.value_width));
  layer.place(share_.query_heads.size() + keys, keys, a_.widest_head())
      .narrow(2, 0, a_.value_width)
      .copy_(value);
}

/// A key's own channels and those that rotate: [n, heads, either width].
void LatentHeads::place_keys(const Layer& layer, at::Tensor own, at::Tensor rotated) const {
  const int64_t plain = own.size(2), turned = rotated.size(2), keys = own.size(1);
  if (layer.view.wants(Site::kKey)) {
    const auto shown = show_heads(layer, Site::kKey, at::cat({own, rotated}, 2));
    own = shown.narrow(2, 0, plain);
    rotated = shown.narrow(2, plain, turned);
  }
  const auto key = layer.place(share_.query_heads.size(), keys, a_.widest_head());
  key.narrow(2, 0, turned).copy_(rotated);
  key.narrow(2, turned, plain).copy_(own);
}

/// [n, heads, width], shown side by side: as the observer leaves them.
at::Tensor LatentHeads::show_heads(const Layer& layer, Site site, const at::Tensor& heads) const {
  if (!layer.view.wants(site)) return heads;
  const auto rows = side_by_side(heads);
  layer.view.show(site, rows);
  return rows.view(heads.sizes());
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

AttentionCall LatentHeads::call_of(int64_t layer, const Sequences& sequences) const {
  return {{sequences.positions, share_.query_heads.size(), share_.key_heads.size(),
           a_.widest_head(), a_.window[layer], a_.is_causal},
          {a_.attention_scale},
          share_.runs};
}

void LatentHeads::attend_heads(const AttentionCall& call, const at::Tensor& shift, MixerRows& rows,
                               AttentionSummary* summary) const {
  const int64_t queries = call.shape.query_heads, widest = call.shape.width;
  if (a_.value_width == widest) {
    return attend_shifted(rows.wide, call, shift, rows.out, summary);
  }
  auto out = at::empty({rows.in.size(0), queries * widest}, rows.in.options());
  attend_shifted(rows.wide, call, shift, out, summary);
  rows.out.view({-1, queries, a_.value_width})
      .copy_(out.view({-1, queries, widest}).narrow(2, 0, a_.value_width));
}

void LatentHeads::run(const StageWeights& weights, const LayerView& view,
                      const Sequences& sequences, MixerRows& rows) {
  const auto call = call_of(view.layer, sequences);
  AttentionSummary summary;
  const Layer layer = {weights, view, rows.in, rows.wide};
  if (a_.has_value_width()) rows.wide.zero_();
  place_queries(layer);
  place_keys_and_values(layer);
  const auto shift = score_shift(view, a_, share_, rows.wide);
  if (has_heads()) {
    rotate(view.layer, sequences, rows.wide);
    attend_heads(call, shift, rows, view.wants_attention() ? &summary : nullptr);
  }
  view.show(Site::kAttentionHeads, rows.out);
  if (view.wants_attention()) {
    view.observer->see_attention({view.layer,
                                  rows.wide,
                                  call,
                                  summary,
                                  weights[Weight::kAttentionOutput],
                                  {a_.head_width, a_.value_width, a_.latent.rotated}});
  }
}

}  // namespace actsweep
