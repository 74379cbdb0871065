// Cohere 2 (Command R7B, Command A): Cohere with a sliding window and rotary positions on three of
// four layers; the others see all keys and have no positions.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys cohere2_keys() {
  return cohere_keys().but({{"logit_scale", "float", 0.0625},
                            {"layer_norm_eps", "float", 1e-05},
                            {"attention_dropout", "float|int", 0.0},
                            {"sliding_window", "int|None", 4096},
                            {"layer_types", "list[str]|None", nullptr}},
                           {"use_qk_norm"});
}

Architecture read_cohere2(const Config& config) {
  Architecture facts = read_cohere_facts(config, 10000);
  const auto slides = read_patterned_layers(config, facts, 4);
  use_sliding_window(config, facts, slides);
  rotate_layers(facts, slides);
  return facts;
}

}  // namespace

Family cohere2_family() {
  return {"cohere2",
          read_cohere2,
          cohere_rows,
          {},
          "model.",
          "Cohere with a sliding window on three of four layers, which alone have rotary positions",
          cohere2_keys()};
}

}  // namespace actsweep
