// The facts of many config.json: `config_facts < DIRECTORIES` prints a line of JSON for each
// directory: {"facts": …, "rows": {tensor: shape}} or {"error": …, "code": …}; with the word
// `vision`, those of the tower.
// `config_facts keys` prints what each family declares of a config.json, and `config_facts
// wrappers` what models of several parts have by default.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "checkpoint/described_model.h"
#include "checkpoint/family.h"
#include "checkpoint/wrapper.h"
#include "kernels/rotary.h"

namespace actsweep {
namespace {

using nlohmann::json;

json facts_of(const Rope& rope) {
  const auto beyond = static_cast<int64_t>(2 * rope.original_length) + 7;
  return {{"interleaved", rope.is_interleaved},
          {"of_patches", rope.is_of_patches},
          {"attention_factor", rope.attention_factor},
          {"long_attention_factor", rope.long_attention_factor},
          {"frequencies", rotary_frequencies(rope, 1)},
          {"beyond", beyond},
          {"frequencies_beyond", rotary_frequencies(rope, beyond)}};
}

json facts_of(const RouterFacts& router) {
  return {{"score", static_cast<int>(router.score)},
          {"groups", router.groups},
          {"chosen_groups", router.chosen_groups},
          {"group_score", static_cast<int>(router.group_score)},
          {"band", router.band},
          {"epsilon", router.epsilon},
          {"least_sum", router.least_sum},
          {"scale", router.scale},
          {"float32", router.is_float32},
          {"chooses_by_logits", router.chooses_by_logits},
          {"logit_scale", router.logit_scale}};
}

json facts_of(const ExpertFacts& experts) {
  return {{"count", experts.count},
          {"chosen", experts.chosen},
          {"ffn_width", experts.ffn_width},
          {"renormalises", experts.renormalises},
          {"shared_width", experts.shared_width},
          {"scales_input", experts.scales_input},
          {"normed_apart", experts.are_normed_apart},
          {"clamp", experts.clamp},
          {"gate_alpha", experts.gate_alpha},
          {"router", facts_of(experts.router)},
          {"layers", experts.layers}};
}

json facts_of(const DeltaFacts& delta) {
  return {{"key_heads", delta.key_heads},
          {"value_heads", delta.value_heads},
          {"key_width", delta.key_width},
          {"value_width", delta.value_width},
          {"taps", delta.taps}};
}

json facts_of(const OtherHeads& heads) {
  return {{"kv_heads", heads.kv_heads},
          {"head_width", heads.head_width},
          {"key_as_value", heads.has_key_as_value},
          {"layers", heads.layers}};
}

json facts_of(const ConvolutionFacts& convolution) {
  return {{"channels", convolution.channels},
          {"taps", convolution.taps},
          {"bias", convolution.has_bias}};
}

json facts_of(const StateFacts& states) {
  return {{"heads", states.heads},
          {"head_width", states.head_width},
          {"groups", states.groups},
          {"state_width", states.state_width},
          {"taps", states.taps},
          {"convolution_bias", states.has_convolution_bias},
          {"bias", states.has_bias},
          {"output_bias", states.has_output_bias},
          {"activation", static_cast<int>(states.activation)},
          {"norm", static_cast<int>(states.norm)},
          {"input_scale", states.input_scale},
          {"projected_scales", states.projected_scales},
          {"output_scale", states.output_scale},
          {"least_step", states.least_step},
          {"most_step", std::to_string(states.most_step)}};
}

json facts_of(const SelectiveFacts& selective) {
  return {{"channels", selective.channels},
          {"state_width", selective.state_width},
          {"step_rank", selective.step_rank},
          {"taps", selective.taps},
          {"convolution_bias", selective.has_convolution_bias},
          {"bias", selective.has_bias},
          {"activation", static_cast<int>(selective.activation)},
          {"epsilon", selective.epsilon}};
}

json facts_of(const ImageFacts& image) {
  return {{"patch", image.patch},
          {"rows", image.rows},
          {"columns", image.columns},
          {"positions", static_cast<int>(image.positions)},
          {"norms_patches", image.norms_patches},
          {"class_tokens", image.class_tokens},
          {"registers", image.registers},
          {"patch_bias", image.has_patch_bias},
          {"antialiases", image.antialiases}};
}

json facts_of(const Architecture& a) {
  auto ropes = json::array();
  for (const auto& rope : a.ropes) ropes.push_back(facts_of(rope));
  std::vector<int> mixers;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    mixers.push_back(static_cast<int>(a.mixer(layer)));
  }
  return {
      {"family", a.family},
      {"layers", a.layers},
      {"channels", a.channels},
      {"heads", a.heads},
      {"kv_heads", a.kv_heads},
      {"head_width", a.head_width},
      {"other_heads", facts_of(a.other_heads)},
      {"ffn_width", a.ffn_width},
      {"vocabulary", a.vocabulary},
      {"max_positions", a.max_positions},
      {"embedding_width", a.embedding_width},
      {"norm", static_cast<int>(a.norm.kind)},
      {"epsilon", a.norm.epsilon},
      {"norm_weight_offset", a.norm.weight_offset},
      {"norm_after_addition", a.norm.is_after_addition},
      {"norm_bias", a.norm.has_bias},
      {"norm_weight", a.norm.has_weight},
      {"parallel", a.is_parallel},
      {"mlp_norm", a.has_mlp_norm},
      {"ties", a.ties_embeddings},
      {"embedding_scale", a.embedding_scale},
      {"mixer_scale", a.mixer_scale},
      {"mlp_scale", a.mlp_scale},
      {"position_rows", a.position_rows},
      {"position_offset", a.position_offset},
      {"ropes", ropes},
      {"rope_of_layer", a.rope_of_layer},
      {"mixers", mixers},
      {"states_beside", a.states_beside},
      {"delta", facts_of(a.delta)},
      {"convolution", facts_of(a.convolution)},
      {"states", facts_of(a.states)},
      {"selective", facts_of(a.selective)},
      {"mlp_layers", a.mlp_layers},
      {"alibi", static_cast<int>(a.alibi)},
      {"value_width", a.value_width},
      {"latent",
       {a.latent.key_value, a.latent.query, a.latent.rotated, a.latent.has_bias, a.latent.epsilon}},
      {"qkv_bias", a.has_qkv_bias},
      {"qkv_bias_parts", a.qkv_bias_parts},
      {"output_bias", a.has_output_bias},
      {"output_gate", a.has_output_gate},
      {"attention_input_scale", a.attention_input_scale},
      {"key_scale", a.key_scale},
      {"attention_scale", a.attention_scale},
      {"divides_scale_by_layer", a.divides_scale_by_layer},
      {"score_cap", a.score_cap},
      {"qkv_clip", a.qkv_clip},
      {"query_key_norm", static_cast<int>(a.query_key_norm)},
      {"query_key_norm_kind", static_cast<int>(a.query_key_norm_kind)},
      {"normalises_rotated", a.normalises_rotated},
      {"window", a.window},
      {"chunk", a.chunk},
      {"query_growth",
       {a.query_growth.rate, a.query_growth.length, a.query_growth.first,
        a.query_growth.is_of_unrotated}},
      {"activation", static_cast<int>(a.activation)},
      {"xielu", a.has_xielu},
      {"gated", a.is_gated},
      {"gate_scale", a.gate_scale},
      {"mlp_bias", a.has_mlp_bias},
      {"experts", facts_of(a.experts)},
      {"head_bias", a.has_head_bias},
      {"logit_scale", a.logit_scale},
      {"logit_cap", a.logit_cap},
      {"image", facts_of(a.image)},
      {"causal", a.is_causal}};
}

/// Numbers of all tensors' elements, by the layers that have them.
json elements_of(const std::vector<TensorRow>& rows, const Architecture& a) {
  json elements = json::object();
  std::set<std::string> counted;
  for (const auto& row : rows) {
    if (row.constant) continue;
    int64_t count = 1;
    for (const auto length : row.shape) count *= length;
    const int64_t copies = row.is_per_layer() ? a.layers : 1;
    for (int64_t layer = 0; layer < copies; ++layer) {
      if (row.is_per_layer() && !row.is_in(a, layer)) continue;
      if (!counted.insert(tensor_name(row, layer)).second) continue;  // several rows read it
      elements[row.name] = elements.value(row.name, int64_t{0}) + count;
    }
  }
  return elements;
}

json read(const std::string& directory, Reading reading) {
  try {
    const auto part = part_of(read_config(directory), reading);
    const auto& family = family_of(part.config);
    const auto architecture = read_part(family, part);
    return {{"facts", facts_of(architecture)},
            {"elements", elements_of(family.rows(architecture), architecture)}};
  } catch (const Error& error) {
    return {{"error", error.what()}, {"code", error.exit_code()}};
  }
}

json declared() {
  auto list = json::array();
  auto all = families();
  all.insert(all.end(), part_families().begin(), part_families().end());
  for (const auto& family : all) {
    auto keys = json::array();
    for (const auto& key : family.keys.keys) {
      const bool has_fallback = !key.fallback.is_discarded();
      keys.push_back({{"name", key.name},
                      {"type", key.type},
                      {"is_of_class", has_fallback},
                      {"fallback", has_fallback ? key.fallback : json()}});
    }
    list.push_back({{"model_type", family.model_type}, {"keys", keys}});
  }
  return list;
}

/// What models of several parts have where their config.json says nothing.
json declared_wrappers() {
  auto list = json::array();
  for (const auto& wrapper : wrappers()) {
    list.push_back({{"model_type", wrapper.model_type},
                    {"text_type", wrapper.text_type},
                    {"vision_type", wrapper.vision_type},
                    {"image_token", wrapper.image_token},
                    {"has_own_text", wrapper.has_own_text},
                    {"has_own_tower", wrapper.has_own_tower},
                    {"ties", wrapper.ties_embeddings}});
  }
  return list;
}

}  // namespace
}  // namespace actsweep

int main(int argc, char** argv) {
  using namespace actsweep;
  if (argc > 1 && std::string(argv[1]) == "keys") {
    fmt::print("{}\n", declared().dump());
    return 0;
  }
  if (argc > 1 && std::string(argv[1]) == "wrappers") {
    fmt::print("{}\n", declared_wrappers().dump());
    return 0;
  }
  const bool is_vision = argc > 1 && std::string(argv[1]) == "vision";
  const auto reading = is_vision ? Reading::kImages : Reading::kText;
  for (std::string directory; std::getline(std::cin, directory);) {
    fmt::print("{}\n", read(directory, reading).dump());
  }
}
