#include "model/attention_heads.h"

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/alibi.h"
#include "kernels/product.h"
#include "kernels/shifted_attention.h"
#include "model/score_shift.h"

namespace actsweep {
namespace {

double scale_of(const Architecture& a, int64_t layer) {
  const double scale =
      a.attention_scale > 0 ? a.attention_scale : 1 / std::sqrt(static_cast<double>(a.head_width));
  return a.divides_scale_by_layer ? scale / static_cast<double>(layer + 1) : scale;
}

}  // namespace

AttentionHeads::AttentionHeads(const Architecture& architecture, const ModelShare& share,
                               const Group& group, const MixerOptions& options)
    : a_(architecture),
      share_(share),
      group_(group),
      ops_(row_ops_of(options.device)),
      rotary_(architecture, options.positions, options.device, options.grid),
      key_bias_(alibi_key_bias(architecture, share.query_heads, options.positions,
                               scale_of(architecture, 0))) {
  if (key_bias_.defined()) key_bias_ = key_bias_.to(options.device);
}

int64_t AttentionHeads::wide_width() const {
  return (share_.query_heads.size() + 2 * share_.key_heads.size()) * a_.head_width;
}

int64_t AttentionHeads::out_width() const { return share_.query_heads.size() * a_.head_width; }

ScoreFacts AttentionHeads::scores_of(const StageWeights& weights, int64_t layer) const {
  return {
      scale_of(a_, layer),          a_.score_cap,           key_bias_, weights[Weight::kExtraKey],
      weights[Weight::kExtraValue], weights[Weight::kSinks]};
}

/// Heads of keys behind the queries; none where the layer takes another's keys and values.
int64_t AttentionHeads::keys_in(const at::Tensor& qkv) const {
  return (qkv.size(1) / a_.head_width - share_.query_heads.size()) / 2;
}

void AttentionHeads::project_qkv(const StageWeights& weights, const at::Tensor& rows,
                                 at::Tensor& qkv) const {
  if (share_.query_heads.size() > 0) {
    project(scaled(rows, a_.attention_input_scale), weights[Weight::kQkv],
            weights[Weight::kQkvBias], qkv);
    scale_keys(qkv);
  }
  if (a_.query_key_norm == QueryKeyNorm::kAllHeads) {
    normalise_all_heads(weights, qkv);
  } else if (!a_.normalises_rotated) {
    normalise(weights, qkv);
  }
  if (a_.qkv_clip > 0) qkv.clamp_(-a_.qkv_clip, a_.qkv_clip);
}

void AttentionHeads::scale_keys(at::Tensor& qkv) const {
  if (a_.key_scale == 1) return;
  const int64_t queries = share_.query_heads.size(), keys = keys_in(qkv);
  qkv.narrow(1, queries * a_.head_width, keys * a_.head_width).mul_(a_.key_scale);
}

void AttentionHeads::show_unrotated(const LayerView& view, const at::Tensor& qkv) const {
  const int64_t queries = share_.query_heads.size() * a_.head_width;
  const int64_t keys = keys_in(qkv) * a_.head_width;
  view.show(Site::kQuery, qkv.narrow(1, 0, queries));
  if (!a_.has_own_keys(view.layer)) return;
  view.show(Site::kKey, qkv.narrow(1, queries, keys));
  view.show(Site::kValue, qkv.narrow(1, queries + keys, keys));
}

void AttentionHeads::run(const StageWeights& weights, const LayerView& view,
                         const Sequences& sequences, MixerRows& rows) {
  const int64_t queries = share_.query_heads.size(), keys = share_.key_heads.size();
  const int64_t layer = view.layer;
  auto& qkv = rows.wide;
  auto& out = rows.out;
  // Queries without keys of their own are made where the heads' outputs will be.
  auto& made = a_.has_own_keys(layer) ? qkv : out;
  project_qkv(weights, rows.in, made);
  show_unrotated(view, made);
  const AttentionCall call = {{sequences.positions, queries, keys, a_.head_width, a_.window[layer],
                               a_.is_causal, a_.chunk_of(layer)},
                              scores_of(weights, layer),
                              share_.runs,
                              a_.leaves_padding_open() ? sequences.length : std::vector<int64_t>(),
                              sequences.key_ends};
  const auto shift = score_shift(view, a_, share_, qkv);
  AttentionSummary summary;
  at::Tensor output_gate;
  if (queries > 0) {
    grow_queries(layer, sequences.positions, made);
    rotate(layer, sequences, made);
    if (a_.normalises_rotated) normalise(weights, made);
    exchange_keys(made, sequences, qkv);
    attend_shifted(qkv, call, shift, out, view.wants_attention() ? &summary : nullptr);
    if (a_.has_output_gate) out.mul_(output_gate = gate(weights, rows));
  }
  view.show(Site::kAttentionHeads, out);
  if (view.wants_attention()) {
    view.observer->see_attention({layer,
                                  qkv,
                                  call,
                                  summary,
                                  weights[Weight::kAttentionOutput],
                                  {a_.head_width, a_.head_width},
                                  output_gate});
  }
}

/// Takes another layer's keys and values, or hands over what has been made for others.
void AttentionHeads::exchange_keys(const at::Tensor& made, const Sequences& sequences,
                                   at::Tensor& qkv) const {
  auto kept = sequences.keys;
  if (!kept.defined()) return;
  const int64_t queries = share_.query_heads.size() * a_.head_width;
  auto keys = qkv.narrow(1, queries, kept.size(1));
  if (keys_in(made) > 0) {
    kept.copy_(keys);
    return;
  }
  qkv.narrow(1, 0, queries).copy_(made);
  keys.copy_(kept);
}

at::Tensor AttentionHeads::gate(const StageWeights& weights, const MixerRows& rows) const {
  auto gate = at::empty_like(rows.out);
  project(rows.in, weights[Weight::kOutputGate], weights[Weight::kOutputGateBias], gate);
  return gate.sigmoid_();
}

void AttentionHeads::normalise(const StageWeights& weights, at::Tensor& qkv) const {
  const int64_t queries = share_.query_heads.size(), keys = keys_in(qkv);
  if (!weights.has(Weight::kQueryNorm) || queries == 0) return;
  const auto norm_of = [&](Weight weight, Weight bias) {
    return Norm{a_.query_key_norm_kind, weights[weight], weights[bias], a_.norm.epsilon,
                a_.norm.weight_offset};
  };
  ops_.normalise_heads(qkv, {0, queries, a_.head_width},
                       norm_of(Weight::kQueryNorm, Weight::kQueryNormBias));
  if (keys == 0) return;
  ops_.normalise_heads(qkv, {queries, keys, a_.head_width},
                       norm_of(Weight::kKeyNorm, Weight::kKeyNormBias));
  if (!weights.has(Weight::kValueNorm)) return;
  ops_.normalise_heads(qkv, {queries + keys, keys, a_.head_width},
                       {NormKind::kRms, weights[Weight::kValueNorm], {}, a_.norm.epsilon, 0});
}

void AttentionHeads::normalise_all_heads(const StageWeights& weights, at::Tensor& qkv) const {
  const int64_t d = a_.head_width;
  const int64_t queries = share_.query_heads.size() * d, keys = share_.key_heads.size() * d;
  // A key head that the rank before holds as well is counted there.
  const int64_t repeated = share_.repeats_first_key ? d : 0;
  auto squares = at::zeros({qkv.size(0), 2}, qkv.options().dtype(at::kFloat));
  const auto part = [&](int64_t first, int64_t width) {
    return qkv.narrow(1, first, width).to(at::kFloat);
  };
  if (queries > 0) {
    squares.select(1, 0).copy_(part(0, queries).square().sum(1));
    squares.select(1, 1).copy_(part(queries + repeated, keys - repeated).square().sum(1));
  }
  group_.all_reduce(squares, Reduction::kSum);
  if (queries == 0) return;
  const auto scale = [&](int64_t column, int64_t heads) {
    const auto mean = squares.narrow(1, column, 1) / static_cast<double>(heads * d);
    return (mean + a_.norm.epsilon).rsqrt();
  };
  qkv.narrow(1, 0, queries)
      .copy_(part(0, queries) * scale(0, a_.heads) * weights[Weight::kQueryNorm]);
  qkv.narrow(1, queries, keys)
      .copy_(part(queries, keys) * scale(1, a_.kv_heads) * weights[Weight::kKeyNorm]);
}

void AttentionHeads::grow_queries(int64_t layer, int64_t positions, at::Tensor& qkv) const {
  const auto& growth = a_.query_growth;
  const bool is_unrotated = a_.rope_of_layer[layer] < 0;
  const bool is_short = static_cast<double>(positions - 1 + growth.first) < growth.length;
  if (growth.rate == 0 || is_unrotated != growth.is_of_unrotated || is_short) return;
  const auto position =
      at::arange(growth.first, growth.first + positions, qkv.options().dtype(at::kFloat));
  const auto factor = 1 + growth.rate * (1 + (position / growth.length).floor()).log();
  qkv.narrow(1, 0, share_.query_heads.size() * a_.head_width)
      .unflatten(0, {-1, positions})
      .mul_(factor.to(qkv.scalar_type()).unsqueeze(1));
}

void AttentionHeads::rotate(int64_t layer, const Sequences& sequences, at::Tensor& qkv) {
  const int rope = a_.rope_of_layer[layer];
  if (rope < 0) return;
  const RotaryHeads heads = {share_.query_heads.size() + keys_in(qkv), a_.head_width,
                             sequences.positions};
  if (!a_.ropes[rope].follows_length()) {
    ops_.rotate(qkv, heads, rotary_.table(rope, sequences.positions));
    return;
  }
  for (size_t i = 0; i < sequences.length.size(); ++i) {
    auto rows = qkv.narrow(0, static_cast<int64_t>(i) * sequences.positions, sequences.positions);
    ops_.rotate(rows, heads, rotary_.table(rope, sequences.length[i]));
  }
}

}  // namespace actsweep
