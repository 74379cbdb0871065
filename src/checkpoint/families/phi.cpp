// Phi-1 and 2: LayerNorm and biases everywhere, rotary positions on a part of each head, attention
// and MLP side by side under one norm.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kPhiKeys = {{{"vocab_size", "int", 51200},
                              {"hidden_size", "int", 2048},
                              {"intermediate_size", "int", 8192},
                              {"num_hidden_layers", "int", 24},
                              {"num_attention_heads", "int", 32},
                              {"num_key_value_heads", "int|None", nullptr},
                              {"resid_pdrop", "float|int", 0.0},
                              {"embd_pdrop", "float|int", 0.0},
                              {"attention_dropout", "float|int|None", 0.0},
                              {"hidden_act", "str", "gelu_new"},
                              {"max_position_embeddings", "int", 2048},
                              {"initializer_range", "float", 0.02},
                              {"layer_norm_eps", "float", 1e-05},
                              {"use_cache", "bool", true},
                              {"tie_word_embeddings", "bool", false},
                              {"rope_parameters", "dict|None", nullptr},
                              {"qk_layernorm", "bool", false},
                              {"bos_token_id", "int|None", 1},
                              {"eos_token_id", "int|list[int]|None", 2},
                              {"pad_token_id", "int|None", nullptr},
                              {"head_dim", "int"}}};

Architecture read_phi(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_eps")};
  facts.norm.has_bias = true;
  facts.is_parallel = true;
  facts.has_mlp_norm = false;
  facts.activation = read_activation(config, "hidden_act");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = facts.has_head_bias = true;
  read_head_norms(config, facts, "qk_layernorm");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  RopeKeys rope;
  rope.rotates_part = true;
  rope.fraction = 0.5;
  read_rope(config, facts, rope);
  return facts;
}

std::vector<TensorRow> phi_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms(attention + "q_layernorm", attention + "k_layernorm", false, true);
  }
  rows.attention_output(attention + "dense")
      .up_down(layer + "mlp.fc1", layer + "mlp.fc2")
      .norm("model.final_layernorm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family phi_family() {
  return {"phi",
          read_phi,
          phi_rows,
          {},
          "model.",
          "LayerNorm; parallel block under one norm; rotary positions on a part of each "
          "head; query/key norms by `qk_layernorm`; GELU (tanh) without a gate; biases "
          "everywhere, of the logits too",
          kPhiKeys};
}

}  // namespace actsweep
