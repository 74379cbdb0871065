// CLIP's vision model, alone or as the half of a CLIP: a class token, a norm before the first
// layer, LayerNorm before each branch, quick GELU.
#include "model/family.h"
#include "model/vision_facts.h"

namespace actsweep {
namespace {

/// What transformers 4 leaves out of a CLIP's halves.
const nlohmann::json kDefaults = {
    {"hidden_size", 768},     {"intermediate_size", 3072},  {"num_hidden_layers", 12},
    {"image_size", 224},      {"patch_size", 32},           {"num_attention_heads", 12},
    {"layer_norm_eps", 1e-5}, {"hidden_act", "quick_gelu"},
};

Architecture read_clip_vision(const Config& given) {
  const Config config = given.with_defaults(kDefaults);
  Architecture facts = read_vision_sizes(config);
  facts.norm.epsilon = config.number("layer_norm_eps");
  require_square_grid(config, facts);
  facts.image.has_patch_bias = false;
  return facts;
}

Architecture read_clip(const Config& config) {
  // Where there is a vision_config_dict, it stands above vision_config, its defaults too.
  auto vision =
      config.section(config.has("vision_config_dict") ? "vision_config_dict" : "vision_config");
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
          "vision_model.",
          "LayerNorm before each branch and before the first layer; class token; learned "
          "positions; attention without a mask; quick GELU without a gate; biases"};
}

Family clip_family() {
  return {"clip",
          read_clip,
          clip_rows,
          {"vision_model.embeddings.position_ids", "text_model.*", "text_projection.weight",
           "visual_projection.weight", "logit_scale", "classifier.*"},
          "",
          "the vision half of a whole CLIP, as `clip_vision_model`"};
}

}  // namespace actsweep
