// EuroBERT: Llama's layers as an encoder of text, with attention without a mask.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys eurobert_keys() {
  return llama_keys().but({{"vocab_size", "int", 128256},
                           {"hidden_size", "int", 768},
                           {"intermediate_size", "int", 3072},
                           {"num_hidden_layers", "int", 12},
                           {"num_attention_heads", "int", 12},
                           {"max_position_embeddings", "int", 8192},
                           {"rms_norm_eps", "float", 1e-05},
                           {"pad_token_id", "int|None", 128001},
                           {"bos_token_id", "int|None", 128000},
                           {"eos_token_id", "int|list[int]|None", 128001},
                           {"pretraining_tp", "int", 1},
                           {"attention_dropout", "int|float", 0.0},
                           {"mask_token_id", "int", 128002},
                           {"classifier_pooling", "str", "late"}});
}

Architecture read_eurobert(const Config& config) {
  Architecture facts = read_llama_facts(config);
  check_channels_of_heads(config, facts);
  facts.is_causal = false;
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = facts.has_head_bias = config.flag("mlp_bias");
  return facts;
}

}  // namespace

Family eurobert_family() {
  return {"eurobert",     read_eurobert,
          llama_rows,     {"classifier.*", "dense.*"},
          "model.",       "encoder of text: Llama's layers, attention without a mask",
          eurobert_keys()};
}

}  // namespace actsweep
