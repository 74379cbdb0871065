// StarCoder2: LayerNorm and biases, rotary positions, grouped query attention, GELU without a gate,
// a sliding window on all layers.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_starcoder2(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 2 would be a guess here
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.number_or("norm_epsilon", 1e-5)};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "hidden_act", "gelu_pytorch_tanh");
  facts.is_gated = false;
  facts.has_qkv_bias = config.flag_or("use_bias", true);
  facts.has_output_bias = facts.has_mlp_bias = facts.has_qkv_bias;
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
  use_rope(facts, read_rope(config, facts));
  read_window(config, facts);
  return facts;
}

std::vector<TensorRow> starcoder2_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .up_down(layer + "mlp.c_fc", layer + "mlp.c_proj")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family starcoder2_family() {
  return {"starcoder2",
          read_starcoder2,
          starcoder2_rows,
          {},
          "model.",
          "LayerNorm before each branch; rotary positions; grouped queries; sliding "
          "window; GELU (tanh) without a gate; biases by `use_bias`"};
}

}  // namespace actsweep
