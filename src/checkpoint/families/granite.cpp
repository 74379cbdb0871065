// Granite 3: Llama's shape with factors for the embedding, the scores, what each branch adds, and
// the logits.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

double read_factor_above_zero(const Config& config, const std::string& key) {
  config.above_zero(key);
  return read_factor(config, key);
}

}  // namespace

ConfigKeys granite_keys() {
  return llama_keys().but({{"attention_dropout", "float|int", 0.0},
                           {"head_dim", "int"},
                           {"embedding_multiplier", "float|int", 1.0},
                           {"logits_scaling", "float|int", 1.0},
                           {"residual_multiplier", "float|int", 1.0},
                           {"attention_multiplier", "float|int", 1.0}},
                          {"pretraining_tp"});
}

Architecture read_granite_facts(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.embedding_scale = read_factor_above_zero(config, "embedding_multiplier");
  facts.logit_scale = 1 / read_factor_above_zero(config, "logits_scaling");
  facts.mixer_scale = facts.mlp_scale = read_factor(config, "residual_multiplier");
  facts.attention_scale = read_factor_above_zero(config, "attention_multiplier");
  return facts;
}

namespace {

Architecture read_granite(const Config& config) {
  Architecture facts = read_granite_facts(config);
  facts.has_mlp_bias = config.flag("mlp_bias");
  return facts;
}

}  // namespace

Family granite_family() {
  return {"granite",
          read_granite,
          llama_rows,
          {},
          "model.",
          "Llama's shape; embeddings, scores, logits and what each branch adds are scaled; biases "
          "by `attention_bias` and `mlp_bias`",
          granite_keys()};
}

}  // namespace actsweep
