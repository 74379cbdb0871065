// DINOv3's Vision Transformers: a class token, registers, no learned positions; queries and keys of
// patches are rotated by their place in the image. LayerNorm before each branch and LayerScale
// behind it; keys without a bias; GELU, or a gated SiLU in the largest ones.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kDinov3Keys = {{{"patch_size", "int|list[int]", 16},
                                 {"hidden_size", "int", 384},
                                 {"intermediate_size", "int", 1536},
                                 {"num_hidden_layers", "int", 12},
                                 {"num_attention_heads", "int", 6},
                                 {"hidden_act", "str", "gelu"},
                                 {"attention_dropout", "float|int", 0.0},
                                 {"initializer_range", "float", 0.02},
                                 {"layer_norm_eps", "float", 1e-05},
                                 {"rope_theta", "float", 100.0},
                                 {"image_size", "int|list[int]", 224},
                                 {"num_channels", "int", 3},
                                 {"query_bias", "bool", true},
                                 {"key_bias", "bool", false},
                                 {"value_bias", "bool", true},
                                 {"proj_bias", "bool", true},
                                 {"mlp_bias", "bool", true},
                                 {"layerscale_value", "float", 1.0},
                                 {"drop_path_rate", "float|int", 0.0},
                                 {"use_gated_mlp", "bool", false},
                                 {"num_register_tokens", "int", 0},
                                 {"pos_embed_shift", "float|None", nullptr},
                                 {"pos_embed_jitter", "float|None", nullptr},
                                 {"pos_embed_rescale", "float|None", 2.0},
                                 {"_out_features", "list[str]|None", nullptr},
                                 {"_out_indices", "list[int]|None", nullptr},
                                 {"apply_layernorm", "bool", true},
                                 {"reshape_hidden_states", "bool", true}}};

Rope read_patch_rope(const Config& config, const Architecture& facts) {
  require(facts.head_width % 4 == 0, ErrorKind::kModel,
          "{}: \"num_attention_heads\": expected heads of a multiple of 4 channels "
          "(\"hidden_size\"), because half of them rotate by a patch's row and half by its column, "
          "found {} channels in {} heads",
          config.path(), facts.channels, facts.heads);
  Rope rope;
  rope.is_of_patches = true;
  rope.width = facts.head_width;
  rope.theta = config.above_zero("rope_theta");
  return rope;
}

Architecture read_dinov3(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  facts.position_rows = 0;
  facts.image.positions = PatchPositions::kNone;
  facts.image.registers = config.count("num_register_tokens");
  facts.ropes = {read_patch_rope(config, facts)};
  facts.rope_of_layer.assign(facts.layers, 0);
  facts.qkv_bias_parts = {config.flag("query_bias"), config.flag("key_bias"),
                          config.flag("value_bias")};
  const auto& parts = facts.qkv_bias_parts;
  facts.has_qkv_bias = parts[0] || parts[1] || parts[2];
  facts.has_output_bias = config.flag("proj_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  facts.is_gated = config.flag("use_gated_mlp");
  return facts;
}

std::vector<TensorRow> dinov3_rows(const Architecture& a) {
  const std::string layer = "model.layer.{}.";
  TensorRows rows(a);
  rows.parameter("embeddings.cls_token", Weight::kClassToken, {1, 1, a.channels})
      .parameter("embeddings.register_tokens", Weight::kRegisters,
                 {1, a.image.registers, a.channels})
      .patches("embeddings.patch_embeddings")
      .norm(layer + "norm1", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.", "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "attention.o_proj")
      .parameter(layer + "layer_scale1.lambda1", Weight::kAttentionScale, {a.channels})
      .norm(layer + "norm2", Weight::kMlpNorm);
  if (a.is_gated) {
    rows.gate_up_down(layer + "mlp.");
  } else {
    rows.up_down(layer + "mlp.up_proj", layer + "mlp.down_proj");
  }
  rows.parameter(layer + "layer_scale2.lambda1", Weight::kMlpScale, {a.channels})
      .norm("norm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

Family dinov3_vit_family() {
  return {
      "dinov3_vit",
      read_dinov3,
      dinov3_rows,
      {"embeddings.mask_token"},
      "model.",
      "LayerNorm before each branch, LayerScale after it; class token and registers; queries "
      "and keys of patches rotated by row and column; no bias of keys; GELU, or a gated SiLU in "
      "the largest",
      kDinov3Keys};
}

}  // namespace actsweep
