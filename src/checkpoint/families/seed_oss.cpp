// Seed-OSS: Llama's shape, with biases by a key each for query, key and value, for the attention's
// output and for the MLP.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys seed_oss_keys() {
  return llama_keys().but({{"vocab_size", "int", 155136},
                           {"intermediate_size", "int", 27648},
                           {"num_hidden_layers", "int", 64},
                           {"num_attention_heads", "int", 80},
                           {"num_key_value_heads", "int|None", 8},
                           {"max_position_embeddings", "int", 524288},
                           {"pad_token_id", "int|None", 1},
                           {"bos_token_id", "int|None", 0},
                           {"pretraining_tp", "int", 1},
                           {"attention_bias", "bool", true},
                           {"attention_out_bias", "bool", false},
                           {"attention_dropout", "float|int", 0.1},
                           {"residual_dropout", "float|int", 0.1},
                           {"head_dim", "int|None", 128}});
}

Architecture read_seed_oss(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = config.flag("attention_bias");
  facts.has_output_bias = config.flag("attention_out_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  return facts;
}

}  // namespace

Family seed_oss_family() {
  return {
      "seed_oss",
      read_seed_oss,
      llama_rows,
      {},
      "model.",
      "Llama with biases on query, key and value; others by `attention_out_bias` and `mlp_bias`",
      seed_oss_keys()};
}

}  // namespace actsweep
