// GPT-J: LayerNorm with biases, attention and MLP side by side under one norm, rotary positions on
// neighbouring channels of a part of each head, a bias of the logits.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {

ConfigKeys gptj_keys() {
  return {{{"vocab_size", "int", 50400},
           {"n_positions", "int", 2048},
           {"n_embd", "int", 4096},
           {"n_layer", "int", 28},
           {"n_head", "int", 16},
           {"rotary_dim", "int", 64},
           {"n_inner", "int|None", nullptr},
           {"activation_function", "str", "gelu_new"},
           {"resid_pdrop", "float|int", 0.0},
           {"embd_pdrop", "float|int", 0.0},
           {"attn_pdrop", "float|int", 0.0},
           {"layer_norm_epsilon", "float", 1e-05},
           {"initializer_range", "float", 0.02},
           {"use_cache", "bool", true},
           {"bos_token_id", "int|None", 50256},
           {"eos_token_id", "int|list[int]|None", 50256},
           {"pad_token_id", "int|None", nullptr},
           {"tie_word_embeddings", "bool", false}},
          {{"hidden_size", "n_embd"},
           {"max_position_embeddings", "n_positions"},
           {"num_attention_heads", "n_head"},
           {"num_hidden_layers", "n_layer"}}};
}

Architecture read_gptj_facts(const Config& config) {
  Architecture facts =
      read_sizes(config, {"n_layer", "n_embd", "n_head", "", "", "", "n_positions"});
  facts.ffn_width = config.positive_or("n_inner", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.norm.has_bias = true;
  facts.is_parallel = true;
  facts.has_mlp_norm = false;
  facts.activation = read_activation(config, "activation_function");
  facts.is_gated = false;
  facts.has_mlp_bias = facts.has_head_bias = true;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  Rope rope;
  rope.width = config.positive("rotary_dim");
  rope.is_interleaved = true;
  if (rope.width > facts.head_width || rope.width % 2 != 0) {
    config.refuse("rotary_dim", fmt::format("an even number of a head's {} channels "
                                            "(\"n_embd\" / \"n_head\")",
                                            facts.head_width));
  }
  facts.ropes = {rope};
  facts.rope_of_layer.assign(facts.layers, 0);
  return facts;
}

void add_gptj_mlp(TensorRows& rows) {
  const std::string layer = "transformer.h.{}.";
  rows.up_down(layer + "mlp.fc_in", layer + "mlp.fc_out")
      .norm("transformer.ln_f", Weight::kFinalNorm)
      .head("lm_head");
}

namespace {

std::vector<TensorRow> gptj_rows(const Architecture& a) {
  const std::string layer = "transformer.h.{}.", attention = layer + "attn.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .norm(layer + "ln_1", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj")
      .attention_output(attention + "out_proj");
  add_gptj_mlp(rows);
  return rows.list();
}

}  // namespace

Family gptj_family() {
  const std::string attention = "transformer.h.{}.attn.";
  return {
      "gptj",
      read_gptj_facts,
      gptj_rows,
      {},
      "transformer.",
      "LayerNorm; parallel block under one norm; rotary positions on neighbouring channels of a "
      "part of each head; GELU (tanh) without a gate; biases of the MLP and the logits",
      gptj_keys()};
}

}  // namespace actsweep
