// MPT: ALiBi, LayerNorm without biases, no biases at all, GELU without a gate, query, key and value
// fused and clipped where config.json says so.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

/// What transformers does not implement, whatever the config asks for.
void refuse_unsupported(const Config& config, const Config& attention) {
  config.only("expansion_ratio", 4);
  config.only("no_bias", true);
  config.only("norm_type", "low_precision_layernorm");
  config.only("logit_scale", nullptr);
  attention.only("attn_type", "multihead_attention");
  attention.only("qk_ln", false);
  attention.only("prefix_lm", false);
  attention.only("attn_uses_sequence_id", false);
  attention.only("alibi", true);
  attention.only("alibi_bias_max", 8);
}

Architecture read_mpt(const Config& config) {
  const auto attention = config.has("attn_config")
                             ? config.section("attn_config")
                             : Config(nlohmann::json::object(), config.path());
  refuse_unsupported(config, attention);
  Architecture facts =
      read_sizes(config, {"n_layers", "d_model", "n_heads", "", "", "", "max_seq_len"});
  facts.ffn_width = 4 * facts.channels;
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_epsilon", 1e-5)};
  facts.activation = Activation::kGelu;
  facts.is_gated = false;
  facts.alibi = Alibi::kMpt;
  facts.attention_scale = attention.number_or("softmax_scale", 0);
  facts.qkv_clip = attention.number_or("clip_qkv", 0);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
  return facts;
}

std::vector<TensorRow> mpt_rows(const Architecture& a) {
  const std::string layer = "transformer.blocks.{}.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .norm(layer + "norm_1", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.Wqkv", FusedOrder::kParts)
      .attention_output(layer + "attn.out_proj")
      .norm(layer + "norm_2", Weight::kMlpNorm)
      .up_down(layer + "ffn.up_proj", layer + "ffn.down_proj")
      .norm("transformer.norm_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family mpt_family() {
  return {"mpt",
          read_mpt,
          mpt_rows,
          {},
          "transformer.",
          "LayerNorm without biases before each branch; ALiBi; query, key and value in "
          "one tensor, clipped by `clip_qkv`; GELU without a gate; no biases"};
}

}  // namespace actsweep
