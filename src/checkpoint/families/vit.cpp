// ViT and what has its layers: a class token before the patches, two of DeiT and none of I-JEPA;
// LayerNorm before each branch, GELU. Attention has no mask. MAE's masking and decoder are of its
// training.
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kVitKeys = {{{"hidden_size", "int", 768},
                              {"num_hidden_layers", "int", 12},
                              {"num_attention_heads", "int", 12},
                              {"intermediate_size", "int", 3072},
                              {"hidden_act", "str", "gelu"},
                              {"hidden_dropout_prob", "float|int", 0.0},
                              {"attention_probs_dropout_prob", "float|int", 0.0},
                              {"initializer_range", "float", 0.02},
                              {"layer_norm_eps", "float", 1e-12},
                              {"image_size", "int|list[int]", 224},
                              {"patch_size", "int|list[int]", 16},
                              {"num_channels", "int", 3},
                              {"qkv_bias", "bool", true},
                              {"encoder_stride", "int", 16},
                              {"pooler_output_size", "int|None", nullptr},
                              {"pooler_act", "str", "tanh"},
                              {"head_dim", "int"}}};

const ConfigKeys kVitMaeKeys = kVitKeys.but({{"decoder_num_attention_heads", "int", 16},
                                             {"decoder_hidden_size", "int", 512},
                                             {"decoder_num_hidden_layers", "int", 8},
                                             {"decoder_intermediate_size", "int", 2048},
                                             {"mask_ratio", "float", 0.75},
                                             {"norm_pix_loss", "bool", false}},
                                            {"encoder_stride", "pooler_output_size", "pooler_act"});

const ConfigKeys kIjepaKeys = kVitKeys.but({}, {"encoder_stride"});

const ConfigKeys kVitMsnKeys = kVitKeys.but({{"layer_norm_eps", "float", 1e-06}},
                                            {"encoder_stride", "pooler_output_size", "pooler_act"});

Architecture read_vit(const Config& config) {
  Architecture facts = read_vision_sizes(config, {.head_width = "head_dim"});
  facts.has_qkv_bias = config.flag("qkv_bias");
  return facts;
}

Architecture read_with_class_tokens(const Config& config, int64_t class_tokens) {
  Architecture facts = read_vit(config);
  facts.position_rows += class_tokens - facts.image.class_tokens;
  facts.image.class_tokens = class_tokens;
  return facts;
}

Architecture read_deit(const Config& config) { return read_with_class_tokens(config, 2); }

Architecture read_ijepa(const Config& config) { return read_with_class_tokens(config, 0); }

std::vector<TensorRow> rows_of(const Architecture& a, const std::string& model) {
  const std::string layer = model + "encoder.layer.{}.", embeddings = model + "embeddings.";
  TensorRows rows(a);
  const char* class_tokens[] = {"cls_token", "distillation_token"};
  for (int64_t i = 0; i < a.image.class_tokens; ++i) {
    rows.parameter(embeddings + class_tokens[i], Weight::kClassToken, {1, 1, a.channels});
  }
  rows.parameter(embeddings + "position_embeddings", Weight::kPositions,
                 {1, a.position_rows, a.channels})
      .patches(embeddings + "patch_embeddings.projection")
      .norm(layer + "layernorm_before", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.attention.", "query", "key", "value")
      .attention_output(layer + "attention.output.dense")
      .norm(layer + "layernorm_after", Weight::kMlpNorm)
      .up_down(layer + "intermediate.dense", layer + "output.dense")
      .norm(model + "layernorm", Weight::kFinalNorm);
  return rows.list();
}

std::vector<TensorRow> vit_rows(const Architecture& a) { return rows_of(a, "vit."); }
std::vector<TensorRow> deit_rows(const Architecture& a) { return rows_of(a, "deit."); }
std::vector<TensorRow> ijepa_rows(const Architecture& a) { return rows_of(a, "ijepa."); }

}  // namespace

Family vit_family() {
  return {"vit",
          read_vit,
          vit_rows,
          {"vit.pooler.*", "vit.embeddings.mask_token", "classifier.*", "decoder.*"},
          "vit.",
          "LayerNorm before each branch; class token; learned positions; attention "
          "without a mask; GELU without a gate; biases",
          kVitKeys};
}

Family vit_mae_family() {
  return {"vit_mae",
          read_vit,
          vit_rows,
          {"decoder.*", "vit.embeddings.mask_token"},
          "vit.",
          "ViT: the encoder of a masked autoencoder, on whole images; its decoder is left "
          "out",
          kVitMaeKeys};
}

Family vit_msn_family() {
  return {"vit_msn",  read_vit,
          vit_rows,   {"vit.embeddings.mask_token", "classifier.*"},
          "vit.",     "ViT: the encoder of a masked siamese network",
          kVitMsnKeys};
}

Family deit_family() {
  return {"deit",
          read_deit,
          deit_rows,
          {"deit.pooler.*", "deit.embeddings.mask_token", "classifier.*", "cls_classifier.*",
           "distillation_classifier.*", "decoder.*"},
          "deit.",
          "ViT with a second class token, which distils a teacher",
          kVitKeys};
}

Family ijepa_family() {
  return {"ijepa",    read_ijepa,
          ijepa_rows, {"ijepa.pooler.*", "ijepa.embeddings.mask_token", "classifier.*"},
          "ijepa.",   "ViT of patches alone, without a class token",
          kIjepaKeys};
}

}  // namespace actsweep
