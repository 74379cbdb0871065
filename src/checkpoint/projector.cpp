#include "checkpoint/projector.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/described_model.h"

namespace actsweep {
namespace {

/// What a projector is read from.
struct Parts {
  const ModelPart& part;
  const Config& whole;
  const Architecture& tower;
};

/// As Python counts hidden states: from the end where it is below 0.
int64_t layers_before_features(const Config& whole, int64_t layers) {
  const char* key = "vision_feature_layer";
  const auto& value = whole.values().at(key);
  if (!value.is_number_integer()) whole.refuse(key, "one layer, not several");
  const auto number = value.get<int64_t>();
  const int64_t before = number < 0 ? layers + 1 + number : number;
  if (before < 0 || before > layers) {
    whole.refuse(key, fmt::format("one of the tower's {} layers", layers));
  }
  return before;
}

/// transformers drops an image's first token, whatever it is.
void read_strategy(const Parts& parts, ProjectorFacts& facts) {
  const char* key = "vision_feature_select_strategy";
  const auto strategy = parts.whole.one_of(key, {"default", "full"});
  const int64_t class_tokens = parts.tower.image.class_tokens;
  if (strategy == "default" && class_tokens != 1) {
    parts.whole.refuse(key, "\"full\", because the tower has no class token");
  }
  facts.left_out = strategy == "default" ? 1 : 0;
}

/// Adds rows under the projector's module.
class ProjectorRows {
 public:
  ProjectorRows(const Parts& parts, ProjectorFacts& facts)
      : module_(parts.part.wrapper->projector_module), facts_(facts) {}

  TensorRow& parameter(const std::string& name, Weight weight, std::vector<int64_t> shape) {
    facts_.rows.push_back({.name = module_ + name, .weight = weight, .shape = std::move(shape)});
    return facts_.rows.back();
  }
  /// [C, in], and its bias where the projector has them.
  void product(const std::string& name, Weight weight, Weight bias, int64_t in) {
    parameter(name + ".weight", weight, {facts_.channels, in});
    if (facts_.has_bias) parameter(name + ".bias", bias, {facts_.channels});
  }
  void two_products() {
    product("linear_1", Weight::kProjectorIn, Weight::kProjectorInBias, facts_.width);
    product("linear_2", Weight::kProjectorOut, Weight::kProjectorOutBias, facts_.channels);
  }

 private:
  std::string module_;
  ProjectorFacts& facts_;
};

/// Two products of the rows behind a layer (arXiv 2310.03744).
void read_llava(const Parts& parts, ProjectorFacts& facts) {
  const auto config = parts.whole.declared({{{"vision_feature_layer", "int|list[int]", -2},
                                             {"vision_feature_select_strategy", "str", "default"},
                                             {"multimodal_projector_bias", "bool", true},
                                             {"projector_hidden_act", "str", "gelu"}}});
  facts.tower_layers = layers_before_features(config, parts.tower.layers);
  read_strategy({parts.part, config, parts.tower}, facts);
  facts.has_bias = config.flag("multimodal_projector_bias");
  facts.activation = read_activation(config, "projector_hidden_act");
  ProjectorRows(parts, facts).two_products();
}

/// The mean of neighbouring patches, its norm, one product (arXiv 2503.19786).
void read_gemma3(const Parts& parts, ProjectorFacts& facts) {
  const char* key = "mm_tokens_per_image";
  const auto config = parts.whole.declared({{{key, "int|None", 256}}});
  const auto& image = parts.tower.image;
  int64_t side = 1;  // tokens
  while ((side + 1) * (side + 1) <= config.positive(key)) ++side;
  if (image.rows != image.columns || side > image.rows || image.rows % side != 0) {
    config.refuse(key, fmt::format("a square of a divisor of {} patches", image.rows));
  }
  facts.takes_final_norm = true;
  facts.pooled = image.rows / side;
  facts.has_two_products = facts.has_bias = false;
  facts.norm = NormFacts{.epsilon = parts.tower.norm.epsilon, .weight_offset = 1};
  facts.sees_images_whole = true;
  ProjectorRows rows(parts, facts);
  rows.parameter("mm_soft_emb_norm.weight", Weight::kProjectorNorm, {facts.width});
  rows.parameter("mm_input_projection_weight", Weight::kProjectorIn, {facts.width, facts.channels})
      .is_transposed = true;
}

/// Neighbouring patches side by side, LayerNorm, two products (arXiv 2404.16821).
void read_internvl(const Parts& parts, ProjectorFacts& facts) {
  constexpr double kEpsilon = 1e-5;  // which no key sets
  const auto config = parts.whole.declared({{{"vision_feature_layer", "int|list[int]", -1},
                                             {"vision_feature_select_strategy", "str", "default"},
                                             {"downsample_ratio", "float", 0.5},
                                             {"projector_hidden_act", "str", "gelu"}}});
  facts.tower_layers = layers_before_features(config, parts.tower.layers);
  facts.takes_final_norm = config.values().at("vision_feature_layer") == -1;
  read_strategy({parts.part, config, parts.tower}, facts);
  const double ratio = config.above_zero("downsample_ratio");
  facts.merged = static_cast<int64_t>(1 / ratio);
  if (ratio * static_cast<double>(facts.merged) != 1) {
    config.refuse("downsample_ratio", "1 divided by a whole number");
  }
  facts.width *= facts.merged * facts.merged;
  facts.norm = NormFacts{.kind = NormKind::kLayer, .epsilon = kEpsilon, .has_bias = true};
  facts.activation = read_activation(config, "projector_hidden_act");
  facts.is_of_one_size = false;
  ProjectorRows rows(parts, facts);
  rows.parameter("layer_norm.weight", Weight::kProjectorNorm, {facts.width});
  rows.parameter("layer_norm.bias", Weight::kProjectorNormBias, {facts.width});
  rows.two_products();
}

struct Reader {
  const char* model_type;
  void (*read)(const Parts& parts, ProjectorFacts& facts);
};

const Reader kReaders[] = {
    {"llava", read_llava}, {"gemma3", read_gemma3}, {"internvl", read_internvl}};

const Reader& reader_of(const Parts& parts) {
  const std::string type = parts.part.wrapper->model_type;
  for (const auto& reader : kReaders) {
    if (type == reader.model_type) return reader;
  }
  std::vector<std::string> known;
  for (const auto& reader : kReaders) known.emplace_back(reader.model_type);
  parts.whole.refuse("model_type", fmt::format("for images in the midst of text one of: {}",
                                               fmt::join(known, ", ")));
}

bool is_of_final_norm(const TensorRow& row) {
  return row.weight == Weight::kFinalNorm || row.weight == Weight::kFinalNormBias;
}

}  // namespace

ProjectorFacts read_projector(const ModelPart& part, const Config& whole,
                              const Architecture& tower) {
  const Parts parts = {part, whole, tower};
  const auto& reader = reader_of(parts);
  const auto text = part_of(whole, Reading::kText);
  ProjectorFacts facts;
  facts.channels = read_part(family_of(text.config), text).channels;
  facts.tower_layers = tower.layers;
  facts.width = tower.channels;
  reader.read(parts, facts);
  const int64_t others = tower.image.class_tokens + tower.image.registers;
  require(
      facts.merged * facts.pooled == 1 || facts.left_out == others, ErrorKind::kModel,
      "{}: \"vision_config\": the projector brings patches together: expected a tower of patches "
      "alone behind {} token(s) that are left out, found {} others",
      whole.path(), facts.left_out, others);
  const int64_t rows = tower.image.rows, columns = tower.image.columns, side = facts.merged;
  require(side == 1 || (rows == columns && rows % side == 0), ErrorKind::kModel,
          "{}: \"vision_config\": expected a square of patches that {} x {} divide, found {} x {}",
          whole.path(), side, side, rows, columns);
  return facts;
}

std::vector<TensorRow> cut_tower(const ProjectorFacts& projector, Architecture& tower,
                                 std::vector<TensorRow>& rows) {
  tower.prediction_layers += tower.layers - projector.tower_layers;
  tower.layers = projector.tower_layers;
  if (projector.takes_final_norm) return {};
  const auto behind =
      std::stable_partition(rows.begin(), rows.end(), std::not_fn(is_of_final_norm));
  std::vector<TensorRow> lost(behind, rows.end());
  rows.erase(behind, rows.end());
  tower.has_final_norm = false;
  return lost;
}

}  // namespace actsweep
