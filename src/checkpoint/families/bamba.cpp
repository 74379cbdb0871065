// Bamba: Mamba-2's state space in most layers, Llama's attention with half a rope in the others; a
// gated MLP in all of them.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"
#include "checkpoint/state_facts.h"

namespace actsweep {

ConfigKeys bamba_keys() {
  return {{{"vocab_size", "int", 128000},
           {"tie_word_embeddings", "bool", false},
           {"hidden_size", "int", 4096},
           {"intermediate_size", "int", 14336},
           {"num_hidden_layers", "int", 32},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int|None", 8},
           {"hidden_act", "str", "silu"},
           {"initializer_range", "float", 0.02},
           {"rms_norm_eps", "float", 1e-5},
           {"use_cache", "bool", true},
           {"num_logits_to_keep", "int|None", 1},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 1},
           {"eos_token_id", "int|list[int]|None", 2},
           {"max_position_embeddings", "int", 262144},
           {"attention_dropout", "float|int|None", 0.0},
           {"attn_layer_indices", "list[int]|None", nullptr},
           {"mamba_n_heads", "int|None", 128},
           {"mamba_d_head", "str|int|None", "auto"},
           {"mamba_n_groups", "int|None", 1},
           {"mamba_d_state", "int|None", 256},
           {"mamba_d_conv", "int|None", 4},
           {"mamba_expand", "int|None", 2},
           {"mamba_chunk_size", "int|None", 256},
           {"mamba_conv_bias", "bool|None", true},
           {"mamba_proj_bias", "bool|None", false},
           {"time_step_limit", "list[float]|None", any_time_step()},
           {"z_loss_coefficient", "float|None", 0.0},
           {"rope_parameters", "dict|None", nullptr},
           {"attention_bias", "bool", false},
           {"mlp_bias", "bool", false},
           {"head_dim", "int"}}};
}

namespace {

/// Attention in the layers of `attn_layer_indices`.
void read_mixers(const Config& config, Architecture& facts) {
  facts.mixer_of_layer.assign(facts.layers, MixerKind::kStates);
  const char* key = "attn_layer_indices";
  if (!config.has(key)) return;
  for (const auto& index : config.values().at(key)) {
    const bool is_here = index >= 0 && index < facts.layers;
    if (is_here) facts.mixer_of_layer[index.get<int64_t>()] = MixerKind::kAttention;
  }
}

Architecture read_bamba(const Config& config) {
  for (const char* key : {"layer_types", "layers_block_type"}) {
    if (config.contains(key)) config.refuse(key, "\"attn_layer_indices\" in its place");
  }
  Architecture facts = read_llama_shape(config);
  RopeKeys rope;
  rope.rotates_part = true;
  rope.fraction = 0.5;
  auto halved = config;  // transformers rotates a half, whatever the key says
  halved.set(rope.fraction_key, rope.fraction, rope.fraction_key);
  read_rope(halved, facts, rope);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  read_mixers(config, facts);
  read_expanded_states(config, facts);
  return facts;
}

std::vector<TensorRow> bamba_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .in_layers(Layers::kAttention);
  add_llama_attention(a, rows);
  rows.in_layers(Layers::kStates)
      .state_space(layer + "mamba.")
      .in_layers(Layers::kAll)
      .norm(layer + "pre_ff_layernorm", Weight::kMlpNorm)
      .gate_up_down(layer + "feed_forward.")
      .norm("model.final_layernorm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family bamba_family() {
  return {"bamba",
          read_bamba,
          bamba_rows,
          {},
          "model.",
          "Mamba-2's state space in most layers, Llama's attention with half a rope in the others; "
          "gated SiLU; biases by `attention_bias` and `mlp_bias`",
          bamba_keys()};
}

}  // namespace actsweep
