// OLMo 1: Llama's shape with LayerNorms that have neither weights nor biases; query, key and value
// clipped where config.json says so.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys olmo_keys() {
  return llama_keys().but({{"vocab_size", "int", 50304},
                           {"pad_token_id", "int|None", 1},
                           {"bos_token_id", "int|None", nullptr},
                           {"eos_token_id", "int|list[int]|None", 50279},
                           {"attention_dropout", "float|int", 0.0},
                           {"clip_qkv", "float|None", nullptr},
                           {"head_dim", "int"}},
                          {"pretraining_tp", "mlp_bias", "rms_norm_eps"});
}

Architecture read_olmo(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, 1e-5};  // a constant of the module
  facts.norm.has_weight = false;
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.qkv_clip = config.above_zero_or("clip_qkv", 0);
  read_rope(config, facts);
  return facts;
}

}  // namespace

Family olmo_family() {
  return {"olmo",
          read_olmo,
          llama_rows,
          {},
          "model.",
          "Llama's shape with LayerNorms without weights; query, key and value clipped by "
          "`clip_qkv`; biases of attention by `attention_bias`",
          olmo_keys()};
}

}  // namespace actsweep
