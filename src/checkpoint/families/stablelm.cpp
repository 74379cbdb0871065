// StableLM: Llama's shape with LayerNorm, rotary positions on a part of each head, a norm for each
// head of query and key where config.json says so, and attention beside the MLP where it says so.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kStablelmKeys = {{{"vocab_size", "int", 50304},
                                   {"intermediate_size", "int", 6912},
                                   {"hidden_size", "int", 2560},
                                   {"num_hidden_layers", "int", 32},
                                   {"num_attention_heads", "int", 32},
                                   {"num_key_value_heads", "int", 32},
                                   {"hidden_act", "str", "silu"},
                                   {"max_position_embeddings", "int", 4096},
                                   {"initializer_range", "float", 0.02},
                                   {"layer_norm_eps", "float", 1e-05},
                                   {"use_cache", "bool", true},
                                   {"tie_word_embeddings", "bool", false},
                                   {"rope_parameters", "dict|None", nullptr},
                                   {"use_qkv_bias", "bool", false},
                                   {"qk_layernorm", "bool", false},
                                   {"use_parallel_residual", "bool", false},
                                   {"hidden_dropout", "float|int", 0.0},
                                   {"attention_dropout", "float|int", 0.0},
                                   {"bos_token_id", "int|None", 0},
                                   {"eos_token_id", "int|list[int]|None", 0},
                                   {"pad_token_id", "int|None", nullptr}}};

Architecture read_stablelm(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_eps")};
  facts.norm.has_bias = true;
  facts.is_parallel = config.flag("use_parallel_residual");
  facts.has_mlp_norm = !facts.is_parallel;
  facts.activation = read_activation(config, "hidden_act");
  facts.has_qkv_bias = config.flag("use_qkv_bias");
  read_head_norms(config, facts, "qk_layernorm");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  RopeKeys rope;
  rope.rotates_part = true;
  rope.fraction = 0.25;
  check_head_width(config, facts);
  read_rope(config, facts, rope);
  return facts;
}

std::vector<TensorRow> stablelm_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms_by_head(attention + "q_layernorm.norms.{h}",
                                 attention + "k_layernorm.norms.{h}");
  }
  rows.attention_output(attention + "o_proj");
  if (a.has_mlp_norm) rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm);
  rows.gate_up_down(layer + "mlp.").norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family stablelm_family() {
  return {"stablelm",
          read_stablelm,
          stablelm_rows,
          {},
          "model.",
          "LayerNorm; serial or parallel block; rotary positions on a part of each head; "
          "a norm for each head of query and key by `qk_layernorm`; gated SiLU",
          kStablelmKeys};
}

}  // namespace actsweep
