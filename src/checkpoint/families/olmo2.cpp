// OLMo 2: Llama's shape with a norm after each branch in place of one before it, and norms of
// queries and keys over the channels of all heads.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kOlmo2Keys = {{{"vocab_size", "int", 50304},
                                {"hidden_size", "int", 4096},
                                {"intermediate_size", "int", 11008},
                                {"num_hidden_layers", "int", 32},
                                {"num_attention_heads", "int", 32},
                                {"num_key_value_heads", "int|None", nullptr},
                                {"hidden_act", "str", "silu"},
                                {"max_position_embeddings", "int", 2048},
                                {"initializer_range", "float", 0.02},
                                {"use_cache", "bool", true},
                                {"pad_token_id", "int|None", 1},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", 50279},
                                {"tie_word_embeddings", "bool", false},
                                {"rope_parameters", "dict|None", nullptr},
                                {"attention_bias", "bool", false},
                                {"attention_dropout", "float|int", 0.0},
                                {"rms_norm_eps", "float", 1e-05},
                                {"head_dim", "int"}}};

Architecture read_olmo2(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  return facts;
}

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

}  // namespace

Family olmo2_family() {
  return {"olmo2",
          read_olmo2,
          olmo2_rows,
          {},
          "model.",
          "RMSNorm after each branch, none before it; query/key norms over the channels "
          "of all heads; rotary positions; gated SiLU",
          kOlmo2Keys};
}

}  // namespace actsweep
