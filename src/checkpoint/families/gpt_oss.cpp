// gpt-oss: a learned sink per head, windows on every other layer, routed experts with biases and a
// clamped gate, their gates and ups alternating in one tensor.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kGptOssKeys = {{{"num_hidden_layers", "int", 36},
                                 {"num_local_experts", "int", 128},
                                 {"vocab_size", "int", 201088},
                                 {"hidden_size", "int", 2880},
                                 {"intermediate_size", "int", 2880},
                                 {"head_dim", "int", 64},
                                 {"num_attention_heads", "int", 64},
                                 {"num_key_value_heads", "int", 8},
                                 {"sliding_window", "int|None", 128},
                                 {"tie_word_embeddings", "bool", false},
                                 {"hidden_act", "str", "silu"},
                                 {"initializer_range", "float", 0.02},
                                 {"max_position_embeddings", "int", 131072},
                                 {"rms_norm_eps", "float", 1e-05},
                                 {"rope_parameters", "dict|None", nullptr},
                                 {"attention_dropout", "float|int", 0.0},
                                 {"num_experts_per_tok", "int", 4},
                                 {"swiglu_alpha", "float", 1.702},
                                 {"swiglu_limit", "float", 7.0},
                                 {"router_aux_loss_coef", "float", 0.001},
                                 {"output_router_logits", "bool", false},
                                 {"use_cache", "bool", true},
                                 {"layer_types", "list[str]|None", nullptr},
                                 {"pad_token_id", "int|None", nullptr},
                                 {"bos_token_id", "int|None", nullptr},
                                 {"eos_token_id", "int|list[int]|None", nullptr},
                                 {"attention_bias", "bool", true}},
                                {{"num_experts", "num_local_experts"}}};

/// Where config.json says nothing of rotary positions, or null.
const nlohmann::json kGptOssRopeParameters = {
    {"rope_type", "yarn"}, {"factor", 32.0},    {"beta_fast", 32.0},
    {"beta_slow", 1.0},    {"truncate", false}, {"original_max_position_embeddings", 4096}};

Architecture read_gpt_oss(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  read_alternating_windows(config, facts);
  RopeKeys rope;
  rope.theta = 150000;
  rope.parameters = kGptOssRopeParameters;
  read_rope(config, facts, rope);
  read_experts_of_all_layers(config, facts);
  facts.experts.clamp = config.above_zero("swiglu_limit");
  facts.experts.gate_alpha = config.number("swiglu_alpha");
  return facts;
}

std::vector<TensorRow> gpt_oss_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", mlp = layer + "mlp.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.sinks(layer + "self_attn.sinks")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .router(mlp + "router", true)
      .alternating_experts(mlp + "experts.gate_up_proj", mlp + "experts.down_proj")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family gpt_oss_family() {
  return {"gpt_oss",
          read_gpt_oss,
          gpt_oss_rows,
          {},
          "model.",
          "RMSNorm before each branch; rotary positions, yarn; a learned sink per head; "
          "sliding window on every other layer; routed experts with biases and a clamped "
          "gate, in stacked tensors",
          kGptOssKeys};
}

}  // namespace actsweep
