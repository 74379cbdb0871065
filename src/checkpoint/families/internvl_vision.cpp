// InternViT, the tower of InternVL: a class token, LayerNorm or RMSNorm before each branch and
// LayerScale behind it, norms of all heads' queries and keys where asked; no norm behind the layers
// where their mean is taken.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

constexpr double kHeadEpsilon = 1e-6;  // of norms of queries and keys, which no key sets

const ConfigKeys kInternVitKeys = {{{"hidden_size", "int", 1024},
                                    {"num_hidden_layers", "int", 24},
                                    {"num_attention_heads", "int", 16},
                                    {"attention_bias", "bool", false},
                                    {"use_qk_norm", "bool", false},
                                    {"intermediate_size", "int", 4096},
                                    {"hidden_act", "str", "gelu"},
                                    {"hidden_dropout_prob", "float|int", 0.0},
                                    {"attention_dropout", "float|int", 0.0},
                                    {"projection_dropout", "float|int", 0.0},
                                    {"initializer_range", "float", 0.02},
                                    {"norm_type", "str", "layer_norm"},
                                    {"layer_norm_eps", "float", 1e-06},
                                    {"image_size", "int|list[int]", {448, 448}},
                                    {"patch_size", "int|list[int]", {14, 14}},
                                    {"num_channels", "int", 3},
                                    {"use_mask_token", "bool", false},
                                    {"use_absolute_position_embeddings", "bool", true},
                                    {"layer_scale_init_value", "float", 0.1},
                                    {"use_mean_pooling", "bool", true}}};

void read_norms(const Config& config, Architecture& facts) {
  const bool is_rms = config.one_of("norm_type", {"layer_norm", "rms_norm"}) == "rms_norm";
  if (is_rms) {
    facts.norm.kind = NormKind::kRms;
    facts.norm.has_bias = false;
    config.only("use_mean_pooling", true);  // the norm behind the layers is always LayerNorm
  }
  facts.has_final_norm = !config.flag("use_mean_pooling");
  if (!config.flag("use_qk_norm")) return;
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  config.only("layer_norm_eps", kHeadEpsilon);
}

Architecture read_internvl_vision(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  check_channels_of_heads(config, facts);
  require_square_grid(config, facts);
  facts.has_qkv_bias = config.flag("attention_bias");
  read_norms(config, facts);
  if (!config.flag("use_absolute_position_embeddings")) {
    facts.image.positions = PatchPositions::kNone;
    facts.position_rows = 0;
  }
  return facts;
}

std::vector<TensorRow> internvl_vision_rows(const Architecture& a) {
  const std::string model = "internvl_vision.", layer = model + "encoder.layer.{}.";
  TensorRows rows(a);
  rows.parameter(model + "embeddings.cls_token", Weight::kClassToken, {1, 1, a.channels});
  if (a.position_rows > 0) {
    rows.parameter(model + "embeddings.position_embeddings", Weight::kPositions,
                   {1, a.position_rows, a.channels});
  }
  rows.patches(model + "embeddings.patch_embeddings.projection")
      .norm(layer + "layernorm_before", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.", "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms(layer + "attention.q_norm", layer + "attention.k_norm", true, false);
  }
  rows.attention_output(layer + "attention.projection_layer")
      .parameter(layer + "lambda_1", Weight::kAttentionScale, {a.channels})
      .norm(layer + "layernorm_after", Weight::kMlpNorm)
      .up_down(layer + "mlp.fc1", layer + "mlp.fc2")
      .parameter(layer + "lambda_2", Weight::kMlpScale, {a.channels});
  if (a.has_final_norm) rows.norm(model + "layernorm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

Family internvl_vision_family() {
  return {"internvl_vision",    read_internvl_vision,
          internvl_vision_rows, {"internvl_vision.embeddings.mask_token"},
          "internvl_vision.",   "",
          kInternVitKeys};
}

}  // namespace actsweep
