// Gemma: Llama's shape with embeddings scaled by sqrt(C), norm weights stored less 1, GELU gates
// and a head width of its own.
#include <cmath>

#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gemma(const Config& config) {
  config.only("mlp_bias", false);
  // Files written early say "gelu" and mean its tanh form, which every implementation computes.
  if (config.has("hidden_activation")) read_activation(config, "hidden_activation");
  config.one_of(config.has("hidden_activation") ? "hidden_activation" : "hidden_act",
                {"gelu", "gelu_pytorch_tanh"});
  config.positive("head_dim");
  Architecture facts = read_sizes(config);
  use_gemma_facts(config, facts);
  facts.activation = Activation::kGeluTanh;
  use_rope(facts, read_rope(config, facts));
  return facts;
}

}  // namespace

void use_gemma_facts(const Config& config, Architecture& facts) {
  if (config.has("use_bidirectional_attention")) config.only("use_bidirectional_attention", false);
  facts.norm.epsilon = config.number_or("rms_norm_eps", 1e-6);
  facts.norm.weight_offset = 1;
  facts.embedding_scale = std::sqrt(static_cast<double>(facts.channels));
  facts.has_qkv_bias = facts.has_output_bias = config.flag_or("attention_bias", false);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
}

Family gemma_family() {
  return {"gemma",
          read_gemma,
          llama_rows,
          {},
          "model.",
          "RMSNorm with weights stored less 1; embeddings scaled by sqrt(C); rotary "
          "positions; a head width of its own; gated GELU (tanh)"};
}

}  // namespace actsweep
