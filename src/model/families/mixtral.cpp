// Mixtral: Mistral's attention, and routed experts in every layer.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_mixtral(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 8 would be a guess here
  config.only("attention_bias", false);
  Architecture facts = read_llama_facts(config);
  read_window(config, facts);
  facts.experts = {config.positive("num_local_experts"), config.positive("num_experts_per_tok"),
                   facts.ffn_width};
  facts.experts.renormalises = true;
  facts.experts.layers.assign(facts.layers, true);
  facts.ffn_width = 0;
  check_experts(config, facts);
  return facts;
}

std::vector<TensorRow> mixtral_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", moe = layer + "block_sparse_moe.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .router(moe + "gate", false)
      .experts(moe + "experts.{e}.", "w1", "w3", "w2")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family mixtral_family() {
  return {"mixtral",
          read_mixtral,
          mixtral_rows,
          {},
          "model.",
          "Mistral's attention; routed experts in every layer, the chosen weights "
          "renormalised"};
}

}  // namespace actsweep
