// Qwen3: Llama's shape with an RMSNorm on each head of query and key; a sliding window on the upper
// layers where config.json asks for it.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kQwen3Keys = {{{"vocab_size", "int", 151936},
                                {"hidden_size", "int", 4096},
                                {"intermediate_size", "int", 22016},
                                {"num_hidden_layers", "int", 32},
                                {"num_attention_heads", "int", 32},
                                {"num_key_value_heads", "int|None", 32},
                                {"head_dim", "int", 128},
                                {"hidden_act", "str", "silu"},
                                {"max_position_embeddings", "int", 32768},
                                {"initializer_range", "float", 0.02},
                                {"rms_norm_eps", "float", 1e-06},
                                {"use_cache", "bool", true},
                                {"tie_word_embeddings", "bool", false},
                                {"rope_parameters", "dict|None", nullptr},
                                {"attention_bias", "bool", false},
                                {"use_sliding_window", "bool", false},
                                {"sliding_window", "int|None", 4096},
                                {"max_window_layers", "int", 28},
                                {"layer_types", "list[str]|None", nullptr},
                                {"attention_dropout", "float|int", 0.0},
                                {"pad_token_id", "int|None", nullptr},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", nullptr}}};

Architecture read_qwen3(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  read_upper_windows(config, facts);
  return facts;
}

}  // namespace

Family qwen3_family() {
  return {"qwen3",
          read_qwen3,
          llama_rows,
          {},
          "model.",
          "Llama with an RMSNorm on each head of query and key; sliding window on the "
          "upper layers where asked",
          kQwen3Keys};
}

}  // namespace actsweep
