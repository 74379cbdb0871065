#include "checkpoint/described_model.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "checkpoint/hub_cache.h"

namespace actsweep {
namespace {

using nlohmann::json;

/// Adds the tensor of a row in a layer, unless no checkpoint holds it, another row of the same
/// tensor did, or it is a head that is the embedding.
class Listing {
 public:
  explicit Listing(const DescribedModel& model) : model_(model) {}

  void add(const TensorRow& row, std::optional<int64_t> layer) {
    const auto name = tensor_name(row, layer.value_or(0));
    const bool is_tied_head = row.weight == Weight::kHead && !row.tied_to.empty();
    if (row.constant || is_tied_head || !names_.insert(name).second) return;
    const auto saved = saved_name(model_.part, *model_.family, name);
    tensors_.push_back({saved, row.shape, kind_of(row), mean_of(row), layer,
                        layer && model_.quantisation.packs(saved, row)});
  }

  void add_layers() {
    const auto& a = model_.architecture;
    for (int64_t layer = 0; layer < a.layers; ++layer) {
      for (const auto& row : model_.rows) {
        if (row.is_per_layer() && row.is_in(a, layer)) add(row, layer);
      }
    }
  }

  std::vector<NeededTensor> take() { return std::move(tensors_); }

 private:
  double mean_of(const TensorRow& row) const {
    if (!is_factor(row.weight)) return 0;
    const auto& weight = row.weight;
    const bool is_plain = weight == Weight::kAttentionScale || weight == Weight::kMlpScale ||
                          weight == Weight::kMixerNorm || weight == Weight::kStepNorm ||
                          weight == Weight::kWriteNorm || weight == Weight::kReadNorm;
    return is_plain ? 1 : 1 - model_.architecture.norm.weight_offset;
  }

  const DescribedModel& model_;
  std::set<std::string> names_;
  std::vector<NeededTensor> tensors_;
};

json facts_of(const Architecture& a) {
  return {{"model_type", a.family},
          {"layers", a.layers},
          {"channels", a.channels},
          {"heads", a.heads},
          {"kv_heads", a.kv_heads},
          {"head_width", a.head_width},
          {"other_kv_heads", a.other_heads.kv_heads},
          {"other_head_width", a.other_heads.head_width},
          {"ffn_width", a.ffn_width},
          {"other_ffn_width", a.other_mlp.width},
          {"layer_input_width", a.layer_inputs.width},
          {"experts", a.experts.count},
          {"experts_chosen", a.experts.count > 0 ? a.experts.chosen : 0},
          {"expert_width", a.experts.count > 0 ? a.experts.ffn_width : 0},
          {"vocabulary", a.vocabulary},
          {"embedding_scale", a.embedding_scale},
          {"reads_images", a.reads_images()}};
}

json line_of(const NeededTensor& tensor) {
  json line = {{"name", tensor.name},
               {"shape", tensor.shape},
               {"kind", tensor.kind},
               {"mean", tensor.mean},
               {"is_packed", tensor.is_packed}};
  line["layer"] = tensor.layer ? json(*tensor.layer) : json();
  return line;
}

}  // namespace

Architecture read_part(const Family& family, const ModelPart& part) {
  auto facts = read_architecture(family, part.config);
  if (part.is_vision && !facts.reads_images()) {
    part.config.refuse("model_type", "a model of images, as [model] vision = true says");
  }
  if (part.wrapper != nullptr && !part.is_vision && facts.reads_images()) {
    part.config.refuse("model_type", "a language model");
  }
  return facts;
}

std::string saved_name(const ModelPart& part, const Family& family, const std::string& name) {
  if (part.wrapper != nullptr) return name_of_part(part, family.prefix, name);
  const bool is_bare = family.is_saved_bare && name.starts_with(family.prefix);
  return is_bare ? name.substr(family.prefix.size()) : name;
}

std::vector<LinearLayer> DescribedModel::linear_layers() const {
  return list_linear_layers(architecture, rows, [this](const std::string& name) {
    return saved_name(part, *family, name);
  });
}

DescribedModel::DescribedModel(const Config& config, Reading reading)
    : part(part_of(config, reading)),
      family(&family_of(part.config)),
      architecture(read_part(*family, part)),
      rows(family->rows(architecture)),
      quantisation(std::filesystem::path(config.path()).parent_path().string(), config) {}

std::string kind_of(const TensorRow& row) {
  switch (row.weight) {
    case Weight::kEmbedding:
      return "embedding";
    case Weight::kPositions:
      return "positions";
    case Weight::kTokenTypes:
      return "token_types";
    case Weight::kEmbeddingProjection:
      return "embedding_projection";
    case Weight::kPatches:
      return "patches";
    case Weight::kPatchBias:
      return "patch_bias";
    case Weight::kClassToken:
      return "class_token";
    case Weight::kRegisters:
      return "registers";
    case Weight::kSinkToken:
      return "sink_token";
    case Weight::kEmbeddingNorm:
      return "embedding_norm";
    case Weight::kEmbeddingNormBias:
      return "embedding_norm_bias";
    default:
      return is_factor(row.weight) ? "norm" : row.shape.size() > 1 ? "product" : "vector";
  }
}

std::vector<NeededTensor> needed_tensors(const DescribedModel& model) {
  const auto is_layer = [](const TensorRow& row) { return row.is_per_layer(); };
  const auto& rows = model.rows;
  const auto first = std::find_if(rows.begin(), rows.end(), is_layer);
  Listing listing(model);
  for (auto row = rows.begin(); row != first; ++row) listing.add(*row, std::nullopt);
  listing.add_layers();
  for (auto row = first; row != rows.end(); ++row) {
    if (!row->is_per_layer()) listing.add(*row, std::nullopt);
  }
  return listing.take();
}

DescribedModel describe_model(const std::string& given, Reading reading) {
  const auto path = model_directory(given);
  const bool is_directory = std::filesystem::is_directory(path);
  return DescribedModel(is_directory ? read_config(path) : read_config_file(path), reading);
}

std::string describe_tensors(const std::string& path) {
  const auto model = describe_model(path);
  auto facts = facts_of(model.architecture);
  facts["path"] = model_directory(path);
  facts["linear_layers"] = described(model.linear_layers(), model.architecture);
  facts["quantisation"] = model.quantisation.text();
  auto text = facts.dump() + "\n";
  for (const auto& tensor : needed_tensors(model)) text += line_of(tensor).dump() + "\n";
  return text;
}

}  // namespace actsweep
