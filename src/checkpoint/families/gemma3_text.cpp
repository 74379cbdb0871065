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

constexpr double kGlobalTheta = 1e6, kLocalTheta = 1e4;

/// The parameters of a kind of layers, {"rope_type": "default"} where nothing is said of it.
nlohmann::json parameters_of(const Config& ropes, const std::string& kind) {
  auto values = ropes.section(kind).values();
  if (!ropes.has(kind)) values["rope_type"] = "default";
  return values;
}

Rope read_kind(const Config& config, const std::string& kind, nlohmann::json parameters,
               const Architecture& facts, const RopeKeys& keys) {
  // Whether yarn rounds its range is read beside the kinds, not in them.
  const auto ropes = config.section("rope_parameters");
  parameters.erase("truncate");
  if (ropes.contains("truncate")) parameters["truncate"] = ropes.values().at("truncate");
  const auto section = ropes.section(kind).with_values(parameters);
  return read_rope_parameters(config, section, facts, keys);
}

/// Rope 0 for global layers, rope 1 for local ones.
void read_ropes(const Config& config, Architecture& facts) {
  const std::string global = "full_attention", local = "sliding_attention";
  const auto ropes = config.section("rope_parameters");
  auto parameters = parameters_of(ropes, global);
  if (config.has("rope_scaling")) {  // of the global layers alone, above what is said of them
    if (config.has("rope_parameters") && !ropes.has(global)) {
      ropes.refuse(global, "an object, because \"rope_scaling\" is there too");
    }
    parameters.update(config.section("rope_scaling").values());
  }
  RopeKeys local_keys, global_keys;
  global_keys.theta = kGlobalTheta;
  local_keys.theta = kLocalTheta;
  local_keys.theta_key = "rope_local_base_freq";
  facts.ropes = {read_kind(config, global, parameters, facts, global_keys),
                 read_kind(config, local, parameters_of(ropes, local), facts, local_keys)};
}

Architecture read_gemma3_text(const Config& config) {
  config.only("attn_logit_softcapping", nullptr);  // transformers ignores another value
  Architecture facts = read_gemma2_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  auto slides = read_sliding_layers(config, facts);
  if (slides.empty()) {
    const char* key = "sliding_window_pattern";
    const int64_t pattern = config.contains(key) ? config.positive(key) : 6;
    for (int64_t layer = 0; layer < facts.layers; ++layer) {
      slides.push_back((layer + 1) % pattern != 0);
    }
  }
  use_sliding_window(config, facts, slides);
  read_ropes(config, facts);
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.rope_of_layer[layer] = slides[layer] ? 1 : 0;
  }
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
