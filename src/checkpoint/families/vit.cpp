// ViT and ViT-MAE's encoder: a class token before the patches, LayerNorm before each branch, GELU.
// Attention has no mask. MAE's masking and decoder are of its training.
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

Architecture read_vit(const Config& config) {
  Architecture facts = read_vision_sizes(config, "head_dim");
  facts.has_qkv_bias = config.flag("qkv_bias");
  return facts;
}

std::vector<TensorRow> vit_rows(const Architecture& a) {
  const std::string layer = "vit.encoder.layer.{}.";
  TensorRows rows(a);
  rows.parameter("vit.embeddings.cls_token", Weight::kClassToken, {1, 1, a.channels})
      .parameter("vit.embeddings.position_embeddings", Weight::kPositions,
                 {1, a.position_rows, a.channels})
      .patches("vit.embeddings.patch_embeddings.projection")
      .norm(layer + "layernorm_before", Weight::kAttentionNorm)
      .query_key_value(layer + "attention.attention.", "query", "key", "value")
      .attention_output(layer + "attention.output.dense")
      .norm(layer + "layernorm_after", Weight::kMlpNorm)
      .up_down(layer + "intermediate.dense", layer + "output.dense")
      .norm("vit.layernorm", Weight::kFinalNorm);
  return rows.list();
}

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

}  // namespace actsweep
