// OLMo 2: Llama's shape with a norm after each branch in place of one before it, and norms of
// queries and keys over the channels of all heads.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {

ConfigKeys olmo2_keys() {
  return llama_keys().but({{"vocab_size", "int", 50304},
                           {"pad_token_id", "int|None", 1},
                           {"bos_token_id", "int|None", nullptr},
                           {"eos_token_id", "int|list[int]|None", 50279},
                           {"attention_dropout", "float|int", 0.0},
                           {"rms_norm_eps", "float", 1e-05},
                           {"head_dim", "int"}},
                          {"pretraining_tp", "mlp_bias"});
}

namespace {

Architecture read_olmo2(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  return facts;
}

}  // namespace

std::vector<TensorRow> olmo2_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens");
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kAttentionPostNorm)
      .gate_up_down(layer + "mlp.")
      .norm(layer + "post_feedforward_layernorm", Weight::kMlpPostNorm)
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

Family olmo2_family() {
  return {"olmo2",
          read_olmo2,
          olmo2_rows,
          {},
          "model.",
          "RMSNorm after each branch, none before it; query/key norms over the channels "
          "of all heads; rotary positions; gated SiLU",
          olmo2_keys()};
}

}  // namespace actsweep
