// Helium: Llama's shape with rotary positions on neighbouring channels and a square output
// projection.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys helium_keys() {
  return llama_keys().but({{"vocab_size", "int", 48000},
                           {"hidden_size", "int", 2560},
                           {"intermediate_size", "int", 7040},
                           {"num_hidden_layers", "int", 24},
                           {"num_attention_heads", "int", 20},
                           {"num_key_value_heads", "int", 20},
                           {"head_dim", "int", 128},
                           {"max_position_embeddings", "int", 4096},
                           {"rms_norm_eps", "float", 1e-08},
                           {"pad_token_id", "int|None", 3},
                           {"attention_dropout", "float|int", 0.0}},
                          {"pretraining_tp"});
}

Architecture read_helium(const Config& config) {
  RopeKeys rope;
  rope.theta = 100000;
  Architecture facts = read_llama_facts(config, rope);
  facts.ropes.front().is_interleaved = true;
  check_channels_of_heads(config, facts);
  check_head_width(config, facts);
  facts.has_qkv_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  return facts;
}

}  // namespace

Family helium_family() {
  return {"helium",
          read_helium,
          llama_rows,
          {},
          "model.",
          "Llama's shape with rotary positions on neighbouring channels; biases of queries, keys "
          "and values by `attention_bias`, of the MLP by `mlp_bias`",
          helium_keys()};
}

}  // namespace actsweep
