#include "checkpoint/vision_facts.h"

#include "base/error.h"
#include "checkpoint/decoder_facts.h"

namespace actsweep {
namespace {

/// Height and width: one number for both, or two.
std::pair<int64_t, int64_t> read_sides(const Config& config, const std::string& key) {
  if (!config.has(key) || !config.values().at(key).is_array()) {
    const int64_t side = config.positive(key);
    return {side, side};
  }
  const auto sides = config.numbers(key, 2);
  return {static_cast<int64_t>(sides[0]), static_cast<int64_t>(sides[1])};
}

}  // namespace

Architecture read_vision_sizes(const Config& config, const VisionKeys& vision) {
  config.only("num_channels", 3);
  SizeKeys keys;
  keys.kv_heads = keys.positions = keys.vocabulary = "";
  keys.head_width = vision.head_width;
  if (!config.has(keys.ffn_width)) keys.ffn_width = "";
  Architecture facts = read_sizes(config, keys);
  const auto [height, width] = read_sides(config, "image_size");
  const auto [patch, patch_width] = read_sides(config, "patch_size");
  require(patch == patch_width, ErrorKind::kModel,
          "{}: \"patch_size\": expected square patches, found {} x {}", config.path(), patch,
          patch_width);
  require(
      height >= patch && width >= patch, ErrorKind::kModel,
      "{}: \"image_size\": expected at least a patch of {} pixels (\"patch_size\"), found {} x {}",
      config.path(), patch, height, width);
  facts.image.patch = patch;
  facts.image.rows = height / patch;
  facts.image.columns = width / patch;
  facts.is_causal = false;
  facts.position_rows = facts.image.rows * facts.image.columns + 1;
  facts.norm.kind = NormKind::kLayer;
  facts.norm.epsilon = config.epsilon(vision.epsilon);
  facts.norm.has_bias = true;
  facts.is_gated = false;
  facts.activation = read_activation(config, "hidden_act");
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  return facts;
}

void require_single_sides(const Config& config) {
  for (const char* key : {"image_size", "patch_size"}) config.positive(key);
}

void require_square_grid(const Config& config, const Architecture& facts) {
  require(facts.image.rows == facts.image.columns, ErrorKind::kModel,
          "{}: \"image_size\": expected as many rows of patches as columns, found {} and {}",
          config.path(), facts.image.rows, facts.image.columns);
}

}  // namespace actsweep
