// CLIP's vision model, alone or as the half of a CLIP: a class token, a norm before the first
// layer, LayerNorm before each branch, quick GELU.
#include "model/family.h"
#include "model/vision_facts.h"

namespace actsweep {
namespace {

Architecture read_clip_vision(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  facts.norm.epsilon = config.number_or("layer_norm_eps", 1e-5);
  facts.image.has_patch_bias = false;
  return facts;
}

Architecture read_clip(const Config& config) {
  auto vision = config.section("vision_config");
  Architecture facts = read_clip_vision(vision);
  facts.family = "clip";
  return facts;
}

std::vector<TensorRow> clip_rows(const Architecture& a) {
  const std::string model = "vision_model.";
  TensorRows rows(a);
  rows.parameter(model + "embeddings.class_embedding", Weight::kClassToken, {a.channels})
      .positions(model + "embeddings.position_embedding")
      .patches(model + "embeddings.patch_embedding")
      .norm(model + "pre_layrnorm", Weight::kEmbeddingNorm);
  add_clip_layers(model, rows);
  rows.norm(model + "post_layernorm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

void add_clip_layers(const std::string& model, TensorRows& rows) {
  const std::string layer = model + "encoder.layers.{}.";
  rows.norm(layer + "layer_norm1", Weight::kAttentionNorm)
      .query_key_value(layer + "self_attn.", "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "self_attn.out_proj")
      .norm(layer + "layer_norm2", Weight::kMlpNorm)
      .up_down(layer + "mlp.fc1", layer + "mlp.fc2");
}

Family clip_vision_model_family() {
  return {"clip_vision_model",
          read_clip_vision,
          clip_rows,
          {"vision_model.embeddings.position_ids", "visual_projection.weight"},
          "vision_model."};
}

Family clip_family() {
  return {"clip",
          read_clip,
          clip_rows,
          {"vision_model.embeddings.position_ids", "text_model.*", "text_projection.weight",
           "visual_projection.weight", "logit_scale"},
          ""};
}

}  // namespace actsweep
