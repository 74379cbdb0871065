// AIMv2's vision model, alone or as the half of an AIMv2: patches alone, an RMSNorm of them before
// positions, which are learned, or sines and cosines in the native ones; RMSNorm before each
// branch; gated SiLU. Its pooling head is of its training.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kAimv2Keys = {{{"text_config", "dict|None", nullptr},
                                {"vision_config", "dict|None", nullptr},
                                {"initializer_factor", "float", 1.0},
                                {"projection_dim", "int", 512},
                                {"logit_scale_init_value", "float", 2.6592},
                                {"max_logit_scale", "float", 100.0}}};

const ConfigKeys kAimv2VisionKeys = {{{"hidden_size", "int", 1024},
                                      {"intermediate_size", "int", 2816},
                                      {"num_hidden_layers", "int", 24},
                                      {"num_attention_heads", "int", 8},
                                      {"num_channels", "int", 3},
                                      {"image_size", "int|list[int]", 224},
                                      {"patch_size", "int|list[int]", 14},
                                      {"hidden_act", "str", "silu"},
                                      {"attention_dropout", "float|int", 0.0},
                                      {"rms_norm_eps", "float", 1e-05},
                                      {"qkv_bias", "bool", false},
                                      {"mlp_bias", "bool", false},
                                      {"initializer_range", "float", 0.02},
                                      {"use_head", "bool", true},
                                      {"is_native", "bool", false}}};

Architecture read_aimv2_vision(const Config& config) {
  Architecture facts = read_vision_sizes(config, {.epsilon = "rms_norm_eps"});
  check_channels_of_heads(config, facts);
  require_single_sides(config);
  facts.norm.kind = NormKind::kRms;
  facts.norm.has_bias = false;
  facts.is_gated = true;
  facts.has_qkv_bias = facts.has_output_bias = config.flag("qkv_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  facts.image.class_tokens = 0;
  facts.image.norms_patches = true;
  const bool is_native = config.flag("is_native");
  facts.position_rows = is_native ? 0 : facts.position_rows - 1;
  facts.image.positions = is_native ? PatchPositions::kWaves : PatchPositions::kFixed;
  if (is_native && facts.channels % 4 != 0) {
    config.refuse(
        "is_native",
        fmt::format("false for channels (\"hidden_size\") that are no multiple of 4, as {}",
                    facts.channels));
  }
  return facts;
}

Architecture read_aimv2(const Config& config) {
  Architecture facts =
      read_aimv2_vision(config.section("vision_config").declared(kAimv2VisionKeys));
  facts.family = "aimv2";
  return facts;
}

std::vector<TensorRow> aimv2_rows(const Architecture& a) {
  const std::string model = "vision_model.", layer = model + "encoder.layers.{}.";
  TensorRows rows(a);
  rows.patches(model + "embeddings.patch_embed")
      .norm(model + "embeddings.rms_norm", Weight::kEmbeddingNorm);
  if (a.position_rows > 0) rows.positions(model + "embeddings.position_embedding");
  rows.norm(layer + "rms_norm1", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.", "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "attention.out_proj")
      .norm(layer + "rms_norm2", Weight::kMlpNorm)
      .gate_up_down(layer + "ffn.")
      .norm(model + "rms_norm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

Family aimv2_vision_model_family() {
  return {"aimv2_vision_model",
          read_aimv2_vision,
          aimv2_rows,
          {"vision_model.head.*"},
          "vision_model.",
          "RMSNorm before each branch and of the patches; no class token; learned positions, or "
          "sines and cosines in the native ones; attention without a mask; gated SiLU; no biases",
          kAimv2VisionKeys,
          /*is_saved_bare=*/true};
}

Family aimv2_family() {
  return {"aimv2",
          read_aimv2,
          aimv2_rows,
          {"vision_model.head.*", "text_model.*", "text_projection.weight",
           "visual_projection.weight", "logit_scale"},
          "",
          "the vision half of a whole AIMv2, as `aimv2_vision_model`",
          kAimv2Keys};
}

}  // namespace actsweep
