// GPT-BigCode (StarCoder): GPT-2's shape with products stored as they are used, and one key/value
// head for all queries where `multi_query` says so.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gpt_bigcode(const Config& config) {
  config.only("add_cross_attention", false);
  Architecture facts =
      read_sizes(config, {"n_layer", "n_embd", "n_head", "", "", "", "n_positions"});
  if (config.flag_or("multi_query", true)) facts.kv_heads = 1;
  facts.ffn_width = config.positive_or("n_inner", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_epsilon", 1e-5)};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "activation_function", "gelu_pytorch_tanh");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  facts.position_rows = facts.max_positions;
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
  if (!config.flag_or("scale_attn_weights", true)) facts.attention_scale = 1;
  return facts;
}

std::vector<TensorRow> gpt_bigcode_rows(const Architecture& a) {
  const std::string layer = "transformer.h.{}.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .positions("transformer.wpe")
      .norm(layer + "ln_1", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.c_attn", FusedOrder::kKeyHeads)
      .attention_output(layer + "attn.c_proj")
      .norm(layer + "ln_2", Weight::kMlpNorm)
      .up_down(layer + "mlp.c_fc", layer + "mlp.c_proj")
      .norm("transformer.ln_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family gpt_bigcode_family() {
  return {"gpt_bigcode",
          read_gpt_bigcode,
          gpt_bigcode_rows,
          {"transformer.h.{}.attn.bias", "transformer.bias"},
          "transformer.",
          "GPT-2 with products stored as they are used; one key/value head by "
          "`multi_query`"};
}

}  // namespace actsweep
