// Gemma 3 (text): Gemma 2 with norms of queries and keys in place of the score cap, five local
// layers to a global one, and a rotary base for each kind.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys gemma3_text_keys() {
  return gemma2_keys().but({{"vocab_size", "int", 262208},
                            {"max_position_embeddings", "int", 131072},
                            {"final_logit_softcapping", "float|None", nullptr},
                            {"attn_logit_softcapping", "float|None", nullptr},
                            {"use_bidirectional_attention", "bool|None", false}});
}

Architecture read_gemma3_text(const Config& config) {
  config.only("attn_logit_softcapping", nullptr);  // transformers ignores another value
  Architecture facts = read_gemma2_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  const auto slides = read_patterned_layers(config, facts, 6);
  use_sliding_window(config, facts, slides);
  RopeKeys full, sliding;
  full.theta = 1e6;
  sliding.theta = 1e4;
  sliding.theta_key = "rope_local_base_freq";
  sliding.is_scaled = false;
  read_ropes_of_kinds(config, facts, full, sliding);
  use_ropes_of_kinds(facts, slides);
  return facts;
}

}  // namespace

Family gemma3_text_family() {
  return {"gemma3_text",
          read_gemma3_text,
          gemma2_rows,
          {},
          "model.",
          "Gemma 2 with query/key norms in place of the score cap; five local layers to a"
          " global one, a rotary base for each kind",
          gemma3_text_keys()};
}

}  // namespace actsweep
