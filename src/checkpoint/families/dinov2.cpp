// DINOv2, with registers or without: a class token, LayerNorm before each branch and LayerScale
// behind it, GELU, or SwiGLU in the giant; positions interpolated to the image's grid.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kDinov2Keys = {{{"hidden_size", "int", 768},
                                 {"num_hidden_layers", "int", 12},
                                 {"num_attention_heads", "int", 12},
                                 {"mlp_ratio", "int", 4},
                                 {"hidden_act", "str", "gelu"},
                                 {"hidden_dropout_prob", "float|int", 0.0},
                                 {"attention_probs_dropout_prob", "float|int", 0.0},
                                 {"initializer_range", "float", 0.02},
                                 {"layer_norm_eps", "float", 1e-06},
                                 {"image_size", "int|list[int]", 224},
                                 {"patch_size", "int|list[int]", 14},
                                 {"num_channels", "int", 3},
                                 {"qkv_bias", "bool", true},
                                 {"layerscale_value", "float", 1.0},
                                 {"drop_path_rate", "float|int", 0.0},
                                 {"use_swiglu_ffn", "bool", false},
                                 {"_out_features", "list[str]|None", nullptr},
                                 {"_out_indices", "list[int]|None", nullptr},
                                 {"apply_layernorm", "bool", true},
                                 {"reshape_hidden_states", "bool", true},
                                 {"use_mask_token", "bool", true},
                                 {"head_dim", "int"}}};

const ConfigKeys kDinov2RegisterKeys = kDinov2Keys.but(
    {{"patch_size", "int|list[int]", 16}, {"num_register_tokens", "int", 4}}, {"use_mask_token"});

Architecture read_dinov2(const Config& config) {
  Architecture facts = read_vision_sizes(config, {.head_width = "head_dim"});
  require_square_grid(config, facts);
  facts.has_qkv_bias = config.flag("qkv_bias");
  facts.ffn_width = facts.channels * config.positive("mlp_ratio", kMostCount);
  if (config.flag("use_swiglu_ffn")) {
    facts.is_gated = true;
    facts.activation = Activation::kSilu;
    facts.ffn_width = (facts.ffn_width * 2 / 3 + 7) / 8 * 8;  // two thirds, up to a multiple of 8
  }
  return facts;
}

Architecture read_dinov2_with_registers(const Config& config) {
  Architecture facts = read_dinov2(config);
  facts.image.registers = config.positive("num_register_tokens", kMostCount);
  facts.image.antialiases = true;
  return facts;
}

std::vector<TensorRow> rows_of(const Architecture& a, const std::string& model) {
  const std::string layer = model + "encoder.layer.{}.";
  TensorRows rows(a);
  rows.parameter(model + "embeddings.cls_token", Weight::kClassToken, {1, 1, a.channels})
      .parameter(model + "embeddings.position_embeddings", Weight::kPositions,
                 {1, a.position_rows, a.channels})
      .patches(model + "embeddings.patch_embeddings.projection");
  if (a.image.registers > 0) {
    rows.parameter(model + "embeddings.register_tokens", Weight::kRegisters,
                   {1, a.image.registers, a.channels});
  }
  rows.norm(layer + "norm1", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.attention.", "query", "key", "value")
      .attention_output(layer + "attention.output.dense")
      .parameter(layer + "layer_scale1.lambda1", Weight::kAttentionScale, {a.channels})
      .norm(layer + "norm2", Weight::kMlpNorm);
  if (a.is_gated) {
    rows.fused_gate_up_down(layer + "mlp.weights_in", layer + "mlp.weights_out");
  } else {
    rows.up_down(layer + "mlp.fc1", layer + "mlp.fc2");
  }
  rows.parameter(layer + "layer_scale2.lambda1", Weight::kMlpScale, {a.channels})
      .norm(model + "layernorm", Weight::kFinalNorm);
  return rows.list();
}

std::vector<TensorRow> dinov2_rows(const Architecture& a) { return rows_of(a, "dinov2."); }

std::vector<TensorRow> dinov2_with_registers_rows(const Architecture& a) {
  return rows_of(a, "dinov2_with_registers.");
}

}  // namespace

Family dinov2_family() {
  return {"dinov2",
          read_dinov2,
          dinov2_rows,
          {"dinov2.embeddings.mask_token", "classifier.*"},
          "dinov2.",
          "ViT with LayerScale after each branch and positions interpolated to the "
          "image's grid; gated SiLU (SwiGLU) in the giant",
          kDinov2Keys};
}

Family dinov2_with_registers_family() {
  return {"dinov2_with_registers",
          read_dinov2_with_registers,
          dinov2_with_registers_rows,
          {"dinov2_with_registers.embeddings.mask_token", "classifier.*"},
          "dinov2_with_registers.",
          "DINOv2 with register tokens between the class token and the patches; positions "
          "interpolated with antialiasing",
          kDinov2RegisterKeys};
}

}  // namespace actsweep
