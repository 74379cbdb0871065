// ViT and ViT-MAE's encoder: a class token before the patches, LayerNorm before each branch, GELU.
// Attention has no mask. MAE's masking and decoder are of its training.
#include "model/family.h"
#include "model/vision_facts.h"

namespace actsweep {
namespace {

Architecture read_vit(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  facts.norm.epsilon = config.number_or("layer_norm_eps", 1e-12);
  facts.has_qkv_bias = config.flag_or("qkv_bias", true);
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
          "vit."};
}

Family vit_mae_family() {
  return {"vit_mae", read_vit, vit_rows, {"decoder.*", "vit.embeddings.mask_token"}, "vit."};
}

}  // namespace actsweep
