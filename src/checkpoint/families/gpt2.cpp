// GPT-2: learned positions, LayerNorm with biases, one fused projection for query, key and value,
// products stored transposed (Conv1D), GELU without a gate. Two variants of arXiv 2402.17762,
// section 5, by keys of our own (data/README.md): a key and value k', v' in each head, and a sink
// token.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kGpt2Keys = {{{"vocab_size", "int", 50257},
                               {"n_positions", "int", 1024},
                               {"n_embd", "int", 768},
                               {"n_layer", "int", 12},
                               {"n_head", "int", 12},
                               {"n_inner", "int|None", nullptr},
                               {"activation_function", "str", "gelu_new"},
                               {"resid_pdrop", "float|int", 0.1},
                               {"embd_pdrop", "float|int", 0.1},
                               {"attn_pdrop", "float|int", 0.1},
                               {"layer_norm_epsilon", "float", 1e-05},
                               {"initializer_range", "float", 0.02},
                               {"summary_type", "str", "cls_index"},
                               {"summary_use_proj", "bool", true},
                               {"summary_activation", "str|None", nullptr},
                               {"summary_proj_to_labels", "bool", true},
                               {"summary_first_dropout", "float|int", 0.1},
                               {"scale_attn_weights", "bool", true},
                               {"use_cache", "bool", true},
                               {"bos_token_id", "int|None", 50256},
                               {"eos_token_id", "int|list[int]|None", 50256},
                               {"pad_token_id", "int|None", nullptr},
                               {"scale_attn_by_inverse_layer_idx", "bool", false},
                               {"reorder_and_upcast_attn", "bool", false},
                               {"add_cross_attention", "bool", false},
                               {"tie_word_embeddings", "bool", true},
                               {"attention_bias_kv", "bool"},
                               {"sink_token", "bool"}},
                              {{"hidden_size", "n_embd"},
                               {"max_position_embeddings", "n_positions"},
                               {"num_attention_heads", "n_head"},
                               {"num_hidden_layers", "n_layer"}}};

Architecture read_gpt2(const Config& config) {
  Architecture facts = read_gpt2_facts(config);
  facts.divides_scale_by_layer = config.flag("scale_attn_by_inverse_layer_idx");
  facts.has_extra_key = config.flag_or("attention_bias_kv", false);
  facts.has_sink_token = config.flag_or("sink_token", false);
  return facts;
}

std::vector<TensorRow> gpt2_rows(const Architecture& a) {
  TensorRows rows(a);
  rows.embedding("transformer.wte").positions("transformer.wpe").stored_transposed();
  add_gpt2_layers(FusedOrder::kParts, rows);
  const std::string attention = "transformer.h.{}.attn.";
  if (a.has_extra_key) rows.extra_key_value(attention + "k_bias", attention + "v_bias");
  if (a.has_sink_token) {
    rows.parameter("transformer.sink_token", Weight::kSinkToken, {a.channels});
  }
  return rows.list();
}

}  // namespace

Architecture read_gpt2_facts(const Config& config) {
  config.only("add_cross_attention", false);
  Architecture facts =
      read_sizes(config, {"n_layer", "n_embd", "n_head", "", "", "", "n_positions"});
  facts.ffn_width = config.positive_or("n_inner", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "activation_function");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  facts.position_rows = facts.max_positions;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  if (!config.flag("scale_attn_weights")) facts.attention_scale = 1;
  return facts;
}

void add_gpt2_layers(FusedOrder order, TensorRows& rows) {
  const std::string layer = "transformer.h.{}.";
  rows.norm(layer + "ln_1", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.c_attn", order)
      .attention_output(layer + "attn.c_proj")
      .norm(layer + "ln_2", Weight::kMlpNorm)
      .up_down(layer + "mlp.c_fc", layer + "mlp.c_proj")
      .norm("transformer.ln_f", Weight::kFinalNorm)
      .head("lm_head");
}

Family gpt2_family() {
  return {"gpt2",
          read_gpt2,
          gpt2_rows,
          {},
          "transformer.",
          "LayerNorm before each branch; learned positions; query, key and value in one "
          "tensor, stored transposed (Conv1D); GELU (tanh) without a gate; biases "
          "everywhere; scores divided by the layer where asked",
          kGpt2Keys};
}

}  // namespace actsweep
