// Hunyuan 0.5B to 7B (dense): Llama's shape with norms of queries and keys after the rotation, and
// rotary positions of which a fixed alpha stretches the base.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys hunyuan_keys() {
  return llama_keys().but({{"vocab_size", "int", 290943},
                           {"rms_norm_eps", "float", 1e-05},
                           {"pad_token_id", "int|None", 0},
                           {"eod_token_id", "int|None", 3},
                           {"pretraining_tp", "int", 1},
                           {"attention_dropout", "float|int", 0.0}},
                          {"mlp_bias"});
}

Architecture read_hunyuan(const Config& config) {
  config.positive("head_dim");  // transformers asks for the key
  RopeKeys rope;
  rope.may_have_alpha = true;
  Architecture facts = read_llama_facts(config, rope);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  facts.normalises_rotated = true;
  return facts;
}

std::vector<TensorRow> hunyuan_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj")
      .query_key_norms(attention + "query_layernorm", attention + "key_layernorm", false, false)
      .attention_output(attention + "o_proj")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .gate_up_down(layer + "mlp.")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family hunyuan_v1_dense_family() {
  return {"hunyuan_v1_dense",
          read_hunyuan,
          hunyuan_rows,
          {},
          "model.",
          "Llama's shape; query/key norms for each head after the rotation; rotary positions, by "
          "`alpha` too; biases of attention by `attention_bias`",
          hunyuan_keys()};
}

}  // namespace actsweep
