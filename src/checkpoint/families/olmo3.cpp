// OLMo 3: OLMo 2 with a sliding window on three of four layers, and a rope for each kind of layers.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys olmo3_keys() {
  return olmo2_keys().but(
      {{"sliding_window", "int|None", 4096}, {"layer_types", "list[str]|None", nullptr}});
}

Architecture read_olmo3(const Config& config) {
  Architecture facts = read_llama_shape(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  auto slides = read_sliding_layers(config, facts);
  if (slides.empty()) slides = all_but_every(4, facts.layers);
  use_sliding_window(config, facts, slides);
  RopeKeys full, sliding;
  full.theta = sliding.theta = 500000;
  sliding.theta_key = "";  // the key beside the parameters is the full layers' alone
  sliding.is_scaled = false;
  read_ropes_of_kinds(config, facts, full, sliding);
  use_ropes_of_kinds(facts, slides);
  return facts;
}

}  // namespace

Family olmo3_family() {
  return {"olmo3",
          read_olmo3,
          olmo2_rows,
          {},
          "model.",
          "OLMo 2 with a sliding window on three of four layers, and rotary positions for each "
          "kind of layers",
          olmo3_keys()};
}

}  // namespace actsweep
