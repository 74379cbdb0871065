// What is measured of the residual stream alone: massive activations, geometry. Formulas:
// docs/statistics.md.
#include "schema/declare_statistics.h"

namespace actsweep {

using enum Axis;
using enum ElementType;

std::vector<Dataset> declare_massive_columns() {
  return {
      {"massive/layer", kInt64, {kEvent}, "1", "layer of a massive activation", Merge::kGather},
      {"massive/sequence", kInt64, {kEvent}, "1", "its sequence", Merge::kGather, kSequence},
      {"massive/position", kInt64, {kEvent}, "1", "its position in the window", Merge::kGather},
      {"massive/document", kInt64, {kEvent}, "1", "its document", Merge::kGather, {}, true},
      {"massive/token",
       kInt64,
       {kEvent},
       "1",
       "its number among the tokens measured",
       Merge::kGather,
       kToken},
      {"massive/token_id",
       kUInt32,
       {kEvent},
       "1",
       "its token's id in the vocabulary",
       Merge::kGather},
      {"massive/class", kUInt8, {kEvent}, "1", "its token's class", Merge::kGather},
      {"massive/channel", kUInt32, {kEvent}, "1", "its channel", Merge::kGather},
      {"massive/value", kFloat32, {kEvent}, "1", "its signed activation", Merge::kGather},
      {"massive/ratio_to_sequence_median",
       kFloat32,
       {kEvent},
       "1",
       "its magnitude over the median magnitude of its sequence",
       Merge::kGather},
      {"massive/ratio_to_token_median",
       kFloat32,
       {kEvent},
       "1",
       "its magnitude over the median magnitude of its token",
       Merge::kGather},
      {"massive/reading",
       kUInt8,
       {kEvent},
       "1",
       "medians against which it passes (bit 1: sequence, bit 2: token)",
       Merge::kGather},
  };
}

std::vector<Dataset> declare_event_updates() {
  return {
      {"massive/before",
       kFloat32,
       {kEvent},
       "1",
       "the channel's activation before the layer (the embedding: its value)",
       Merge::kGather},
      {"massive/attention_update",
       kFloat32,
       {kEvent},
       "1",
       "what attention, or another mixer, has changed of it",
       Merge::kGather},
      {"massive/mlp_update",
       kFloat32,
       {kEvent},
       "1",
       "what the MLP has changed of it: before + attention_update + mlp_update = value",
       Merge::kGather},
      {"massive/next_attention_update",
       kFloat32,
       {kEvent},
       "1",
       "what attention, or another mixer, of the next layer changes of the value (NaN: the last "
       "layer)",
       Merge::kGather},
      {"massive/next_mlp_update",
       kFloat32,
       {kEvent},
       "1",
       "what the MLP of the next layer changes of it (NaN: the last layer)",
       Merge::kGather},
  };
}

std::vector<Dataset> declare_lifecycle() {
  const std::vector<Axis> axes = {kLayer, kRow, kNamedChannel};
  return {
      {"lifecycle/value", kFloat32, axes, "1",
       "activation of a token that has an event in some layer", Merge::kRows},
      {"lifecycle/attention_update", kFloat32, axes, "1",
       "what attention, or another mixer, of the layer has changed of it (the embedding: 0)",
       Merge::kRows},
      {"lifecycle/mlp_update", kFloat32, axes, "1",
       "what the MLP of the layer has changed of it: with attention_update and the value of the "
       "layer before it sums to the value (the embedding: 0)",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_massive_counts() {
  return {{"massive/events_left_out",
           kInt64,
           {kLayer},
           "1",
           "massive activations beyond max_events of a layer and sequence",
           Merge::kSum}};
}

std::vector<Dataset> declare_massive_corpus() {
  return {
      {"massive_corpus/layer",
       kInt64,
       {kFinding},
       "1",
       "layer of a channel that is massive against the corpus median",
       Merge::kDerived},
      {"massive_corpus/channel", kUInt32, {kFinding}, "1", "the channel", Merge::kDerived},
      {"massive_corpus/max_magnitude",
       kFloat32,
       {kFinding},
       "1",
       "its largest magnitude",
       Merge::kDerived},
      {"massive_corpus/ratio_to_corpus_median",
       kFloat32,
       {kFinding},
       "1",
       "its largest magnitude over the layer's corpus median",
       Merge::kDerived},
      {"massive_corpus/median_magnitude",
       kFloat32,
       {kLayer},
       "1",
       "lower edge of the bin that holds the layer's lower median magnitude",
       Merge::kDerived},
  };
}

std::vector<Dataset> declare_cosines(PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  const Axis token = token_axis(per_token);
  return {
      {"geometry/token_cos_first",
       kFloat32,
       {kLayer, token},
       "1",
       "cosine of the angle between a token's residual and that of the first token of its sequence",
       Merge::kRows},
      {"geometry/token_cos_previous",
       kFloat32,
       {kLayer, token},
       "1",
       "cosine of the angle between a token's residual and its own before the layer (NaN: the "
       "embedding)",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_participation() {
  return {
      {"geometry/participation",
       kFloat32,
       {kLayer, kSequence},
       "1",
       "(tr K)^2 / tr K^2 of K = X X^T, whose rows are a sequence's residuals: in how many "
       "directions they lie",
       Merge::kRows},
      {"geometry/participation_normed",
       kFloat32,
       {kLayer, kSequence},
       "1",
       "the same with each row divided by its Euclidean norm",
       Merge::kRows},
  };
}

}  // namespace actsweep
