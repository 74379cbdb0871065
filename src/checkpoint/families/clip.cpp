// CLIP's vision model, alone or as the half of a CLIP: a class token, a norm before the first
// layer, LayerNorm before each branch, quick GELU.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kClipKeys = {{{"text_config", "dict|None", nullptr},
                               {"vision_config", "dict|None", nullptr},
                               {"projection_dim", "int|None", 512},
                               {"logit_scale_init_value", "float|int|None", 2.6592},
                               {"initializer_factor", "float|None", 1.0}}};

const ConfigKeys kClipVisionKeys = {{{"hidden_size", "int", 768},
                                     {"intermediate_size", "int", 3072},
                                     {"projection_dim", "int", 512},
                                     {"num_hidden_layers", "int", 12},
                                     {"num_attention_heads", "int", 12},
                                     {"num_channels", "int", 3},
                                     {"image_size", "int|list[int]|None", 224},
                                     {"patch_size", "int|list[int]|None", 32},
                                     {"hidden_act", "str", "quick_gelu"},
                                     {"layer_norm_eps", "float", 1e-05},
                                     {"attention_dropout", "int|float|None", 0.0},
                                     {"initializer_range", "float", 0.02},
                                     {"initializer_factor", "float", 1.0}}};

Architecture read_clip_vision(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  check_channels_of_heads(config, facts);
  require_single_sides(config);
  facts.image.has_patch_bias = false;
  return facts;
}

Architecture read_clip(const Config& config) {
  // Where there is a vision_config_dict, it stands above vision_config, its defaults too.
  const char* key = config.has("vision_config_dict") ? "vision_config_dict" : "vision_config";
  Architecture facts = read_clip_vision(config.section(key).declared(kClipVisionKeys));
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
          {"visual_projection.weight"},
          "vision_model.",
          "LayerNorm before each branch and before the first layer; class token; learned "
          "positions; attention without a mask; quick GELU without a gate; biases",
          kClipVisionKeys};
}

Family clip_family() {
  return {"clip",
          read_clip,
          clip_rows,
          {"text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale",
           "classifier.*"},
          "",
          "the vision half of a whole CLIP, as `clip_vision_model`",
          kClipKeys};
}

}  // namespace actsweep
