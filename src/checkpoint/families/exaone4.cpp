// EXAONE 4: OLMo 2's norms after each branch, an RMSNorm on each head of query and key. Where there
// is a sliding window, the layers that see all keys have no positions.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys exaone4_keys() {
  return llama_keys().but({{"vocab_size", "int", 102400},
                           {"intermediate_size", "int", 16384},
                           {"num_key_value_heads", "int", 32},
                           {"rms_norm_eps", "float", 1e-05},
                           {"bos_token_id", "int|None", 0},
                           {"attention_dropout", "float|int", 0.0},
                           {"sliding_window", "int|None", 4096},
                           {"sliding_window_pattern", "str|int|None", 4},
                           {"layer_types", "list[str]|None", nullptr},
                           {"head_dim", "int"}},
                          {"pretraining_tp", "attention_bias", "mlp_bias"});
}

Architecture read_exaone4(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  if (!config.has("sliding_window")) {
    const char* expected = "a window, or layers without by \"layer_types\"";
    if (!config.has("layer_types")) config.refuse("sliding_window", expected);
    check_unused_windows(config, read_sliding_layers(config, facts));
    return facts;
  }
  const auto slides = read_patterned_layers(config, facts, 4);
  use_sliding_window(config, facts, slides);
  rotate_layers(facts, slides);
  return facts;
}

}  // namespace

Family exaone4_family() {
  return {
      "exaone4",
      read_exaone4,
      olmo2_rows,
      {},
      "model.",
      "OLMo 2's norms after each branch; an RMSNorm on each head of query and key; with a sliding "
      "window, layers without it have no positions",
      exaone4_keys()};
}

}  // namespace actsweep
