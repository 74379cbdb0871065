// Gemma: Llama's shape with embeddings scaled by sqrt(C), norm weights stored less 1, GELU gates
// and a head width of its own.
#include <cmath>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

Architecture read_gemma(const Config& config) {
  Architecture facts = read_sizes(config);
  use_gemma_facts(config, facts);
  // Files written early say "gelu" and mean its tanh form, which every implementation computes.
  facts.activation = read_activation(config, "hidden_act");
  if (facts.activation == Activation::kGelu) facts.activation = Activation::kGeluTanh;
  read_rope(config, facts);
  return facts;
}

}  // namespace

ConfigKeys gemma_keys() {
  return {{{"vocab_size", "int", 256000},
           {"hidden_size", "int", 3072},
           {"intermediate_size", "int", 24576},
           {"num_hidden_layers", "int", 28},
           {"num_attention_heads", "int", 16},
           {"num_key_value_heads", "int", 16},
           {"head_dim", "int", 256},
           {"hidden_act", "str", "gelu_pytorch_tanh"},
           {"max_position_embeddings", "int", 8192},
           {"initializer_range", "float", 0.02},
           {"rms_norm_eps", "float", 1e-06},
           {"use_cache", "bool", true},
           {"pad_token_id", "int|None", 0},
           {"eos_token_id", "int|list[int]|None", 1},
           {"bos_token_id", "int|None", 2},
           {"tie_word_embeddings", "bool", true},
           {"rope_parameters", "dict|None", nullptr},
           {"attention_bias", "bool", false},
           {"attention_dropout", "float|int", 0.0},
           {"use_bidirectional_attention", "bool|None", nullptr}}};
}

void use_gemma_facts(const Config& config, Architecture& facts) {
  if (config.has("use_bidirectional_attention")) config.only("use_bidirectional_attention", false);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.norm.weight_offset = 1;
  facts.embedding_scale = std::sqrt(static_cast<double>(facts.channels));
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
}

Family gemma_family() {
  return {"gemma",
          read_gemma,
          llama_rows,
          {},
          "model.",
          "RMSNorm with weights stored less 1; embeddings scaled by sqrt(C); rotary "
          "positions; a head width of its own; gated GELU (tanh)",
          gemma_keys()};
}

}  // namespace actsweep
