// Ministral 3 and Devstral 2: Mistral whose queries grow with the logarithm of their position.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys ministral3_keys() {
  return mistral_keys().but({{"vocab_size", "int", 131072},
                             {"num_hidden_layers", "int", 34},
                             {"head_dim", "int", 128},
                             {"max_position_embeddings", "int", 262144},
                             {"rms_norm_eps", "float", 1e-05},
                             {"pad_token_id", "int|None", 11},
                             {"sliding_window", "int|None", nullptr}});
}

Architecture read_ministral3(const Config& config) {
  RopeKeys keys;
  keys.grows_queries = true;
  keys.parameters = {{"rope_type", "yarn"},
                     {"rope_theta", 1000000.0},
                     {"factor", 16.0},
                     {"original_max_position_embeddings", 16384},
                     {"mscale", 1.0},
                     {"mscale_all_dim", 1.0},
                     {"beta_fast", 32.0},
                     {"beta_slow", 1.0},
                     {"llama_4_scaling_beta", 0.1}};
  Architecture facts = read_llama_facts(config, keys);
  check_unused_windows(config, read_sliding_layers(config, facts));
  read_window(config, facts);
  return facts;
}

}  // namespace

Family ministral3_family() {
  return {"ministral3",
          read_ministral3,
          llama_rows,
          {},
          "model.",
          "Mistral whose queries grow with the logarithm of their position, by "
          "`llama_4_scaling_beta`; no sliding window unless asked",
          ministral3_keys()};
}

}  // namespace actsweep
