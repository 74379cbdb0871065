// Phi-3 and 4-mini: Llama's shape with query, key and value in one tensor and gate and up in
// another; a sliding window, rotary positions on a part of each head, longrope scaling.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

/// Rotary positions, whose scaling files written before transformers 5 call "su" or "yarn".
Rope read_phi3_rope(const Config& config, const Architecture& facts) {
  auto values = config.values();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key)) continue;
    auto& section = values[key];
    for (const char* type : {"rope_type", "type"}) {
      const bool is_old_name = section.value(type, "") == "su" || section.value(type, "") == "yarn";
      if (is_old_name) section[type] = "longrope";
    }
    config.section(key).one_of(section.contains("rope_type") ? "rope_type" : "type",
                               {"default", "longrope", "su", "yarn"});
  }
  return read_rope(Config(values, config.path()), facts);
}

Architecture read_phi3(const Config& config) {
  config.only("attention_bias", false);
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.number_or("rms_norm_eps", 1e-5);
  facts.activation = read_activation(config, "hidden_act", "silu");
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  use_rope(facts, read_phi3_rope(config, facts));
  read_window(config, facts);
  return facts;
}

std::vector<TensorRow> phi3_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "self_attn.qkv_proj", FusedOrder::kParts)
      .attention_output(layer + "self_attn.o_proj")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .fused_gate_up_down(layer + "mlp.gate_up_proj", layer + "mlp.down_proj")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family phi3_family() {
  return {"phi3",
          read_phi3,
          phi3_rows,
          {},
          "model.",
          "RMSNorm before each branch; rotary positions, longrope; query, key and value "
          "in one tensor, gate and up in another; sliding window; gated SiLU; no biases"};
}

}  // namespace actsweep
