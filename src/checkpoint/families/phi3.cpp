// Phi-3 and 4-mini: Llama's shape with query, key and value in one tensor and gate and up in
// another; a sliding window, rotary positions on a part of each head, longrope scaling.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kPhi3Keys = {{{"vocab_size", "int", 32064},
                               {"hidden_size", "int", 3072},
                               {"intermediate_size", "int", 8192},
                               {"num_hidden_layers", "int", 32},
                               {"num_attention_heads", "int", 32},
                               {"num_key_value_heads", "int|None", nullptr},
                               {"resid_pdrop", "float|int", 0.0},
                               {"embd_pdrop", "float|int", 0.0},
                               {"attention_dropout", "float|int", 0.0},
                               {"hidden_act", "str", "silu"},
                               {"max_position_embeddings", "int", 4096},
                               {"original_max_position_embeddings", "int", 4096},
                               {"initializer_range", "float", 0.02},
                               {"rms_norm_eps", "float", 1e-05},
                               {"use_cache", "bool", true},
                               {"tie_word_embeddings", "bool", false},
                               {"rope_parameters", "dict|None", nullptr},
                               {"bos_token_id", "int|None", 1},
                               {"eos_token_id", "int|list[int]|None", 32000},
                               {"pad_token_id", "int|None", 32000},
                               {"sliding_window", "int|None", nullptr},
                               {"head_dim", "int"}}};

/// Rotary positions, whose scaling files written before transformers 5 call "su" or "yarn".
void read_phi3_rope(const Config& config, Architecture& facts) {
  auto values = config.values();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key) || !values[key].is_object()) continue;
    const char* type = values[key].contains("rope_type") ? "rope_type" : "type";
    const auto section = config.section(key);
    if (section.contains(type)) section.one_of(type, {"default", "longrope", "su", "yarn"});
    const auto name = section.text_or(type, "default");
    if (name == "su") section.above_zero("original_max_position_embeddings");
    if (name != "default") values[key]["rope_type"] = "longrope";
  }
  RopeKeys rope;
  rope.rotates_part = true;
  read_rope(config.with_values(values), facts, rope);
  if (facts.ropes.front().scaling == RopeScaling::kLongRope) check_head_width(config, facts);
}

Architecture read_phi3(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  read_phi3_rope(config, facts);
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
          "in one tensor, gate and up in another; sliding window; gated SiLU; no biases",
          kPhi3Keys};
}

}  // namespace actsweep
