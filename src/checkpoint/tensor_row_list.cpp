#include <utility>

#include "base/error.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {
namespace {

/// Where the heads of query (part 0), key or value (2) stand in a fused tensor.
UnitOrder place_of(FusedOrder order, const Architecture& a, int part) {
  const int64_t group = a.heads / a.kv_heads, quarter = a.heads / 4;
  if (order == FusedOrder::kParts) return {1, 1, part == 0 ? 0 : a.heads + (part - 1) * a.kv_heads};
  if (order == FusedOrder::kQuarters) return {quarter, 3 * quarter, (3 - part) % 3 * quarter};
  return {part == 0 ? group : 1, group + 2, part == 0 ? 0 : group + part - 1};
}

}  // namespace

TensorRows::HeadSizes TensorRows::heads() const {
  const auto& other = a_.other_heads;
  if (layers_ != TensorRow::Layers::kOtherHeads) {
    return {a_.kv_heads, a_.head_width, a_.value_channels()};
  }
  return {other.kv_heads, other.head_width, other.head_width};
}

TensorRow& TensorRows::product(const std::string& name, Weight weight, int part, Cut cut,
                               int cut_axis, std::vector<int64_t> shape) {
  if (is_transposed_) std::swap(shape[0], shape[1]);
  rows_.push_back({.name = name + ".weight",
                   .weight = weight,
                   .part = part,
                   .cut = cut,
                   .cut_axis = cut_axis,
                   .shape = std::move(shape),
                   .is_transposed = is_transposed_,
                   .layers = layers_});
  return rows_.back();
}

TensorRow& TensorRows::vector(const std::string& name, Weight weight, int part, Cut cut,
                              int64_t length) {
  rows_.push_back({.name = name,
                   .weight = weight,
                   .part = part,
                   .cut = cut,
                   .shape = {length},
                   .layers = layers_});
  return rows_.back();
}

TensorRows& TensorRows::stored_transposed() {
  is_transposed_ = true;
  return *this;
}

TensorRows& TensorRows::in_layers(TensorRow::Layers layers) {
  layers_ = layers;
  return *this;
}

TensorRows& TensorRows::embedding(const std::string& name) {
  rows_.push_back({.name = name + ".weight",
                   .weight = Weight::kEmbedding,
                   .shape = {a_.vocabulary, a_.embedding_width}});
  return *this;
}

TensorRows& TensorRows::positions(const std::string& name) {
  rows_.push_back({.name = name + ".weight",
                   .weight = Weight::kPositions,
                   .shape = {a_.position_rows, a_.channels}});
  return *this;
}

TensorRows& TensorRows::norm(const std::string& name, Weight weight) {
  auto& row = vector(name + ".weight", weight, 0, Cut::kNone, a_.channels);
  if (!a_.norm.has_weight) row.constant = 1;
  if (!a_.norm.has_bias) return *this;
  const auto bias = bias_of(weight);
  ensure(bias.has_value(), "norms of a branch's output have no bias");
  vector(name + ".bias", *bias, 0, Cut::kNone, a_.channels);
  return *this;
}

TensorRows& TensorRows::norm_behind_first(const std::string& name, Weight weight) {
  const auto first = rows_.size();
  norm(name, weight);
  belong_to(TensorRow::Layers::kBehindFirst, first);
  return *this;
}

TensorRows& TensorRows::query_key_value(const std::string& prefix, const std::string& query,
                                        const std::string& key, const std::string& value) {
  const std::string* names[] = {&query, &key, &value};
  const auto [kv_heads, width, value_width] = heads();
  for (int part = 0; part < 3; ++part) {
    const Cut cut = part == 0 ? Cut::kQueryHeads : Cut::kKeyHeads;
    const int64_t stored = part == 0 && a_.has_output_gate ? 2 : 1;  // query and gate
    const int64_t length = stored * (part == 0 ? a_.heads : kv_heads) * width;
    auto& weight =
        product(prefix + *names[part], Weight::kQkv, part, cut, 0, {length, a_.channels});
    weight.unit = width;
    weight.order.group_stride = stored;
    weight.is_of_keys = part > 0;
    if (!a_.has_qkv_bias) continue;
    auto& bias = vector(prefix + *names[part] + ".bias", Weight::kQkvBias, part, cut, length);
    bias.unit = width;
    bias.is_of_keys = part > 0;
    if (!a_.qkv_bias_parts[part]) bias.constant = 0;
    bias.order.group_stride = stored;
  }
  if (a_.has_output_gate) output_gate(prefix + query);
  return *this;
}

void TensorRows::output_gate(const std::string& query) {
  const int64_t length = 2 * a_.heads * a_.head_width;
  auto& weight = product(query, Weight::kOutputGate, 0, Cut::kQueryHeads, 0, {length, a_.channels});
  weight.unit = a_.head_width;
  weight.order = {1, 2, 1};
  if (!a_.has_qkv_bias) return;
  auto& bias = vector(query + ".bias", Weight::kOutputGateBias, 0, Cut::kQueryHeads, length);
  bias.unit = a_.head_width;
  bias.order = {1, 2, 1};
}

TensorRows& TensorRows::fused_query_key_value(const std::string& name, FusedOrder order) {
  const int64_t all = a_.heads + 2 * a_.kv_heads;
  for (int part = 0; part < 3; ++part) {
    const Cut cut = part == 0 ? Cut::kQueryHeads : Cut::kKeyHeads;
    const auto place = place_of(order, a_, part);
    auto& weight = product(name, Weight::kQkv, part, cut, 0, {all * a_.head_width, a_.channels});
    weight.unit = a_.head_width;
    weight.order = place;
    if (!a_.has_qkv_bias) continue;
    auto& bias = vector(name + ".bias", Weight::kQkvBias, part, cut, all * a_.head_width);
    bias.unit = a_.head_width;
    bias.order = place;
  }
  return *this;
}

TensorRows& TensorRows::query_key_norms(const std::string& query, const std::string& key,
                                        bool per_head, bool has_bias) {
  const auto sizes = heads();
  const auto add = [&](const std::string& name, Weight weight, Cut cut, int64_t count) {
    if (!per_head) {
      vector(name, weight, 0, Cut::kNone, sizes.width);
    } else if (a_.query_key_norm == QueryKeyNorm::kAllHeads) {
      vector(name, weight, 0, cut, count * sizes.width).unit = sizes.width;
    } else {
      vector(name, weight, 0, cut, count).shape = {count, sizes.width};
    }
    rows_.back().is_of_keys = cut == Cut::kKeyHeads;
  };
  add(query + ".weight", Weight::kQueryNorm, Cut::kQueryHeads, a_.heads);
  add(key + ".weight", Weight::kKeyNorm, Cut::kKeyHeads, sizes.kv_heads);
  if (!has_bias) return *this;
  add(query + ".bias", Weight::kQueryNormBias, Cut::kQueryHeads, a_.heads);
  add(key + ".bias", Weight::kKeyNormBias, Cut::kKeyHeads, sizes.kv_heads);
  return *this;
}

TensorRows& TensorRows::plain_head_norm(const std::string& name, Weight weight) {
  auto& row = vector(name, weight, 0, Cut::kNone, heads().width);
  row.constant = 1;
  row.is_of_keys = weight != Weight::kQueryNorm;
  return *this;
}

TensorRows& TensorRows::sinks(const std::string& name) {
  vector(name, Weight::kSinks, 0, Cut::kQueryHeads, a_.heads);
  return *this;
}

TensorRows& TensorRows::extra_key_value(const std::string& key, const std::string& value) {
  for (const auto& [name, weight] :
       {std::pair(&key, Weight::kExtraKey), std::pair(&value, Weight::kExtraValue)}) {
    vector(*name, weight, 0, Cut::kQueryHeads, a_.heads).shape = {a_.heads, a_.head_width};
  }
  return *this;
}

TensorRows& TensorRows::attention_output(const std::string& name) {
  product(name, Weight::kAttentionOutput, 0, Cut::kQueryHeads, 1,
          {a_.channels, a_.heads * heads().value_width})
      .unit = heads().value_width;
  if (a_.has_output_bias) {
    vector(name + ".bias", Weight::kAttentionOutputBias, 0, Cut::kNone, a_.channels);
  }
  return *this;
}

TensorRows& TensorRows::query_key_norms_by_head(const std::string& query, const std::string& key) {
  const auto add = [&](const std::string& name, Weight weight, Cut cut, int64_t heads) {
    for (int64_t head = 0; head < heads; ++head) {
      vector(numbered(name, "{h}", head), weight, 0, cut, a_.head_width).only_unit = head;
    }
  };
  add(query + ".weight", Weight::kQueryNorm, Cut::kQueryHeads, a_.heads);
  add(key + ".weight", Weight::kKeyNorm, Cut::kKeyHeads, a_.kv_heads);
  return *this;
}

void TensorRows::down(const std::string& name, Cut cut, int64_t width) {
  product(name, Weight::kDown, 0, cut, 1, {a_.channels, width});
  if (a_.has_mlp_bias) vector(name + ".bias", Weight::kDownBias, 0, Cut::kNone, a_.channels);
}

void TensorRows::gated_mlp(const std::string& prefix, Cut cut, int64_t width,
                           const GatedNames& names) {
  for (const auto& [name, part] : {std::pair(names.gate, 0), std::pair(names.up, 1)}) {
    product(prefix + name, Weight::kGateUp, part, cut, 0, {width, a_.channels});
    if (a_.has_mlp_bias) vector(prefix + name + ".bias", Weight::kGateUpBias, part, cut, width);
  }
  down(prefix + names.down, cut, width);
}

TensorRows& TensorRows::gate_up_down(const std::string& prefix, const GatedNames& names) {
  const auto first = rows_.size();
  if (layers_ == TensorRow::Layers::kOtherMlp) {
    gated_mlp(prefix, Cut::kOtherFeedForward, a_.other_mlp.width, names);
    return *this;
  }
  gated_mlp(prefix, Cut::kFeedForward, a_.ffn_width, names);
  if (a_.experts.count > 0) belong_to(TensorRow::Layers::kDense, first);
  return *this;
}

void TensorRows::fused_gated_mlp(const std::string& gate_up, const std::string& down_name, Cut cut,
                                 int64_t width) {
  for (int part = 0; part < 2; ++part) {
    product(gate_up, Weight::kGateUp, part, cut, 0, {2 * width, a_.channels}).order.first =
        part * width;
    if (!a_.has_mlp_bias) continue;
    vector(gate_up + ".bias", Weight::kGateUpBias, part, cut, 2 * width).order.first = part * width;
  }
  down(down_name, cut, width);
}

TensorRows& TensorRows::fused_gate_up_down(const std::string& gate_up,
                                           const std::string& down_name) {
  fused_gated_mlp(gate_up, down_name, Cut::kFeedForward, a_.ffn_width);
  return *this;
}

void TensorRows::ungated_mlp(const std::string& up, const std::string& down_name, Cut cut,
                             int64_t width) {
  product(up, Weight::kGateUp, 0, cut, 0, {width, a_.channels});
  if (a_.has_mlp_bias) vector(up + ".bias", Weight::kGateUpBias, 0, cut, width);
  down(down_name, cut, width);
}

TensorRows& TensorRows::up_down(const std::string& up, const std::string& down_name) {
  const auto first = rows_.size();
  ungated_mlp(up, down_name, Cut::kFeedForward, a_.ffn_width);
  if (a_.experts.count > 0 || !a_.mlp_layers.empty()) belong_to(TensorRow::Layers::kDense, first);
  return *this;
}

TensorRows& TensorRows::head(const std::string& name) {
  auto& embedding = rows_.front();
  ensure(embedding.weight == Weight::kEmbedding, "a family lists its embedding first");
  const auto own_name = name + ".weight";
  if (a_.ties_embeddings) embedding.tied_to = own_name;
  rows_.push_back({.name = own_name,
                   .tied_to = a_.ties_embeddings ? rows_.front().name : "",
                   .weight = Weight::kHead,
                   .cut = Cut::kVocabulary,
                   .shape = {a_.vocabulary, a_.embedding_width}});
  if (a_.has_head_bias) {
    vector(name + ".bias", Weight::kHeadBias, 0, Cut::kVocabulary, a_.vocabulary);
  }
  return *this;
}

TensorRows& TensorRows::parameter(const std::string& name, Weight weight,
                                  std::vector<int64_t> shape, int part) {
  rows_.push_back(
      {.name = name, .weight = weight, .part = part, .shape = std::move(shape), .layers = layers_});
  return *this;
}

TensorRows& TensorRows::patches(const std::string& name) {
  parameter(name + ".weight", Weight::kPatches, {a_.channels, 3, a_.image.patch, a_.image.patch});
  if (a_.image.has_patch_bias)
    vector(name + ".bias", Weight::kPatchBias, 0, Cut::kNone, a_.channels);
  return *this;
}

TensorRows& TensorRows::layer_inputs(const std::string& model, const std::string& layer) {
  const int64_t width = a_.layer_inputs.width, all = a_.layers * width;
  parameter(model + "embed_tokens_per_layer.weight", Weight::kLayerTable, {a_.layer_inputs.rows, all});
  parameter(model + "per_layer_model_projection.weight", Weight::kLayerInput, {all, a_.channels});
  parameter(model + "per_layer_projection_norm.weight", Weight::kLayerInputNorm, {width});
  product(layer + "per_layer_input_gate", Weight::kLayerGate, 0, Cut::kNone, 0,
          {width, a_.channels});
  product(layer + "per_layer_projection", Weight::kLayerProjection, 0, Cut::kNone, 0,
          {a_.channels, width});
  return norm(layer + "post_per_layer_input_norm", Weight::kLayerProjectionNorm);
}

TensorRows& TensorRows::projections(const std::string& in, const std::string& out) {
  rows_.push_back({.name = in + ".weight",
                   .weight = Weight::kEmbeddingProjection,
                   .shape = {a_.channels, a_.embedding_width}});
  rows_.push_back({.name = out + ".weight",
                   .weight = Weight::kHeadProjection,
                   .shape = {a_.embedding_width, a_.channels}});
  return *this;
}

}  // namespace actsweep
