// Gemma 3 (text): Gemma 2 with norms of queries and keys in place of the score cap, five local
// layers to a global one, and a rotary base for each kind.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

constexpr double kGlobalTheta = 1e6, kLocalTheta = 1e4;

/// Rope 0 for global layers, rope 1 for local ones.
void read_ropes(const Config& config, Architecture& facts) {
  RopeKeys global, local;
  global.theta = kGlobalTheta;
  local.theta = kLocalTheta;
  local.theta_key = "rope_local_base_freq";
  const bool is_by_kind =
      config.has("rope_parameters") && config.section("rope_parameters").has("full_attention");
  if (is_by_kind) {
    const auto kinds = config.section("rope_parameters");
    facts.ropes = {read_rope_section(config, kinds.section("full_attention"), facts, global),
                   read_rope_section(config, kinds.section("sliding_attention"), facts, local)};
    return;
  }
  // Scaling is of the global layers alone.
  const Config none(nlohmann::json::object(), config.path());
  facts.ropes = {read_rope(config, facts, global), read_rope_section(config, none, facts, local)};
  facts.ropes[1].theta = config.number_or("rope_local_base_freq", kLocalTheta);
}

Architecture read_gemma3_text(const Config& config) {
  config.only("attn_logit_softcapping", nullptr);  // transformers ignores another value
  Architecture facts = read_gemma2_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  auto slides = read_sliding_layers(config, facts);
  const char* pattern_key =
      config.has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
  const int64_t pattern = config.positive_or(pattern_key, 6);
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back((layer + 1) % pattern != 0);
  }
  use_window(facts, slides, config.positive("sliding_window"));
  read_ropes(config, facts);
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.rope_of_layer[layer] = slides[layer] ? 1 : 0;
  }
  return facts;
}

}  // namespace

Family gemma3_text_family() { return {"gemma3_text", read_gemma3_text, gemma2_rows, {}, "model."}; }

}  // namespace actsweep
