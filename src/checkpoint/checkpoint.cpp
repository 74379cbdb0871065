#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <unordered_set>

#include "base/error.h"
#include "checkpoint/described_model.h"
#include "checkpoint/hub_cache.h"

namespace actsweep {
namespace {

std::string counted(size_t count, const std::string& what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// What old checkpoints call the weight or bias of a module "LayerNorm"; empty for other names.
std::string old_norm_name(const std::string& name) {
  for (const auto& [now, then] : {std::pair("LayerNorm.weight", "LayerNorm.gamma"),
                                  std::pair("LayerNorm.bias", "LayerNorm.beta")}) {
    if (name.ends_with(now)) return name.substr(0, name.size() - std::strlen(now)) + then;
  }
  return {};
}

}  // namespace

Checkpoint::Checkpoint(const std::string& directory, Reading reading,
                       const std::optional<std::string>& classifier)
    : directory_(without_stand_ins(model_directory(directory))),
      config_(read_config(directory_)),
      part_(part_of(config_, reading)),
      family_(&family_of(part_.config)),
      architecture_(read_part(*family_, part_)),
      rows_(family_->rows(architecture_)),
      quantisation_(directory_, config_),
      files_(open_checkpoint_files(directory_, config_)) {
  architecture_.name = checkpoint_name(directory_);
  use_projector();
  drop_missing_head();
  if (classifier) use_classifier(*classifier);
  use_stacked_experts();
  use_exchanged_axes();
  find_tensors();
  judge_unused();
  note_image_layers();
}

const StoredTensor* Checkpoint::find_stored(const std::string& name) const {
  const auto found = files_.tensors.find(name);
  return found == files_.tensors.end() ? nullptr : &found->second;
}

/// The names that a tensor of the family may be stored under: its own, as a model of several parts
/// has it, under another prefix, without the prefix that checkpoints saved from the bare model
/// lack, and of old.
std::vector<std::string> Checkpoint::names_of(const std::string& name) const {
  if (is_of_classifier(name)) return {name};
  auto names =
      part_.wrapper == nullptr ? std::vector{name} : stored_names(part_, family_->prefix, name);
  const bool has_prefix = !family_->prefix.empty() && name.starts_with(family_->prefix);
  if (has_prefix) {
    const auto rest = name.substr(family_->prefix.size());
    if (!family_->other_prefix.empty()) names.push_back(family_->other_prefix + rest);
    names.push_back(rest);
  }
  for (size_t i = 0, count = names.size(); i < count; ++i) {
    auto old = old_norm_name(names[i]);
    if (!old.empty()) names.push_back(std::move(old));
  }
  return names;
}

/// Weights that products read may be packed; what is gathered from the map never is.
Checkpoint::Found Checkpoint::find_under(const std::string& name, const TensorRow& row) const {
  if (row.weight < Weight::kEmbedding) {
    if (auto packed = quantisation_.find(files_.tensors, name, row)) return {nullptr, packed};
  }
  return {find_stored(name)};
}

/// The stored tensors of a row: under one of its names; under those of what it is tied to; under
/// another name of the same tensor.
Checkpoint::Found Checkpoint::find(const TensorRow& row, int64_t layer) const {
  auto names = names_of(tensor_name(row, layer));
  const auto own_names = names.size();
  if (!row.tied_to.empty()) {
    const auto tied = names_of(row.tied_to);
    names.insert(names.end(), tied.begin(), tied.end());
  }
  for (const auto& name : names) {
    if (auto found = find_under(name, row); found.is_stored()) return found;
  }
  for (size_t i = 0; i < own_names; ++i) {
    const auto alias = files_.aliases.find(names[i]);
    if (alias != files_.aliases.end()) return {find_stored(alias->second)};
  }
  return {};
}

std::vector<LinearLayer> Checkpoint::linear_layers() const {
  return list_linear_layers(architecture_, rows_, [this](const std::string& name) {
    return saved_name(part_, *family_, name);
  });
}

const StoredTensor& Checkpoint::tensor(const TensorRow& row, int64_t layer) const {
  return *used_.at(tensor_name(row, layer));
}

const PackedWeight* Checkpoint::packed(const TensorRow& row, int64_t layer) const {
  const auto found = packed_.find(tensor_name(row, layer));
  return found == packed_.end() ? nullptr : &found->second;
}

int64_t Checkpoint::stored_bytes() const {
  std::unordered_set<const StoredTensor*> counted;
  int64_t bytes = 0;
  for (const auto& [name, tensor] : used_) {
    if (counted.insert(tensor).second) bytes += tensor->bytes;
  }
  return bytes;
}

void Checkpoint::use_projector() {
  if (!part_.has_projector) return;
  projector_ = read_projector(part_, config_, architecture_);
  behind_features_ = cut_tower(*projector_, architecture_, rows_);
  const auto& rows = projector_->rows;
  rows_.insert(rows_.end(), rows.begin(), rows.end());
}

bool Checkpoint::is_of_classifier(const std::string& name) const {
  return classifier_ &&
         std::ranges::find(classifier_->rows, name, &TensorRow::name) != classifier_->rows.end();
}

void Checkpoint::use_classifier(const std::string& source) {
  classifier_ = read_classifier(source, directory_, architecture_, files_.tensors);
  rows_.insert(rows_.end(), classifier_->rows.begin(), classifier_->rows.end());
}

void Checkpoint::drop_missing_head() {
  const auto is_head = [](const TensorRow& row) {
    return row.weight == Weight::kHead || row.weight == Weight::kHeadBias;
  };
  for (const auto& row : rows_) {
    if (is_head(row) && find(row, 0).is_stored()) return;
  }
  const auto rest = std::stable_partition(rows_.begin(), rows_.end(), std::not_fn(is_head));
  missing_head_.assign(rest, rows_.end());
  rows_.erase(rest, rows_.end());
}

void Checkpoint::require_head() const {
  for (const auto& row : missing_head_) {
    fail(ErrorKind::kModel,
         "{}: tensor {}: missing; the loss needs it with shape {} by {}; without [statistics] loss "
         "this checkpoint can be swept",
         directory_, row.name, shape_text(row.shape), config_.path());
  }
}

/// Goes by experts in stacked tensors where those of single experts are not stored.
void Checkpoint::use_stacked_experts() {
  const auto& routed = architecture_.experts.layers;
  const auto layer = std::find(routed.begin(), routed.end(), true) - routed.begin();
  const auto first = std::find_if(rows_.begin(), rows_.end(),
                                  [](const TensorRow& row) { return row.cut == Cut::kExperts; });
  const bool has_experts = layer < static_cast<int64_t>(routed.size()) && first != rows_.end();
  if (!has_experts || find(*first, layer).is_stored()) return;
  auto stacked = with_stacked_experts(rows_, architecture_);
  if (find(stacked[first - rows_.begin()], layer).is_stored()) rows_ = std::move(stacked);
}

/// Goes by the order of axes that tensors are stored in, where both are known.
void Checkpoint::use_exchanged_axes() {
  for (auto& row : rows_) {
    if (!row.may_be_exchanged) continue;
    auto exchanged = row.shape;
    std::swap(exchanged[exchanged.size() - 2], exchanged.back());
    for (int64_t layer = 0; layer < architecture_.layers; ++layer) {
      const auto* stored = row.is_in(architecture_, layer) ? find(row, layer).tensor : nullptr;
      if (stored == nullptr || stored->shape == row.shape) continue;
      if (stored->shape != exchanged) break;
      row.shape = exchanged;
      row.is_transposed = true;
      break;
    }
  }
}

void Checkpoint::find_tensors() {
  for (const auto& row : rows_) {
    if (row.constant) continue;
    const int64_t copies = row.is_per_layer() ? architecture_.layers : 1;
    for (int64_t layer = 0; layer < copies; ++layer) {
      if (row.is_per_layer() && !row.is_in(architecture_, layer)) continue;
      const auto name = tensor_name(row, layer);
      if (packed_.contains(name)) continue;  // another row has another part of it
      use(name, row, find(row, layer));
    }
  }
}

void Checkpoint::use(const std::string& name, const TensorRow& row, Found found) {
  require(found.is_stored(), ErrorKind::kModel,
          "{}: tensor {}: missing; {} expects it with shape {}", directory_, name, config_.path(),
          shape_text(row.shape));
  if (!found.packed) {
    check(*found.tensor, name, row);
    used_[name] = found.tensor;
    return;
  }
  for (const auto& [last_words, tensor] : found.packed->parts) {
    used_[fmt::format("{} {}", name, last_words)] = tensor;
  }
  packed_.emplace(name, *std::move(found.packed));
}

void Checkpoint::check(const StoredTensor& tensor, const std::string& name,
                       const TensorRow& row) const {
  const auto& path = tensor.file->path();
  require(tensor.shape == row.shape, ErrorKind::kModel,
          "{}: tensor {}: expected shape {} by {}, found {}", path, name, shape_text(row.shape),
          config_.path(), shape_text(tensor.shape));
  require(tensor.type.has_value(), ErrorKind::kModel,
          "{}: tensor {}: dtype: expected F64, F32, BF16 or F16, found \"{}\"", path, name,
          tensor.type_name);
}

bool Checkpoint::is_behind_features(const std::string& stored) const {
  return std::ranges::any_of(behind_features_, [&](const TensorRow& row) {
    const auto names = names_of(row.name);
    return std::ranges::find(names, stored) != names.end();
  });
}

Unused Checkpoint::judge(const UnusedTensors& unused, const std::string& stored) const {
  if (part_.wrapper == nullptr) return unused.judge(stored);
  if (is_beside(part_, stored) || is_behind_features(stored)) return Unused::kExpected;
  if (is_of_projector(part_, stored)) return Unused::kWeight;
  return unused.judge(own_name(part_, stored));
}

void Checkpoint::judge_unused() {
  std::unordered_set<const StoredTensor*> used;
  for (const auto& [name, tensor] : used_) used.insert(tensor);
  const UnusedTensors unused(*family_, rows_, architecture_);
  std::vector<std::string> buffers, expected, strangers;
  for (const auto& [name, tensor] : files_.tensors) {
    if (used.contains(&tensor)) continue;
    const bool is_beside = quantisation_.is_left_over(name, tensor);
    const auto verdict = is_beside ? Unused::kExpected : judge(unused, name);
    require(verdict != Unused::kWeight, ErrorKind::kModel,
            "{}: tensor {}: not used by a model of type \"{}\" with {} layers as {} describes it; "
            "found it with shape {}{}",
            tensor.file->path(), name, architecture_.family, architecture_.layers, config_.path(),
            shape_text(tensor.shape), quantisation_.said());
    auto& list = verdict == Unused::kBuffer     ? buffers
                 : verdict == Unused::kExpected ? expected
                                                : strangers;
    list.push_back(name);
  }
  if (!buffers.empty()) {
    notes_.push_back(fmt::format("{}: {} left out: {}", directory_,
                                 counted(buffers.size(), "buffer"), UnusedTensors::list(buffers)));
  }
  if (!expected.empty()) {
    notes_.push_back(fmt::format("{}: {} beside the model left out: {}", directory_,
                                 counted(expected.size(), "tensor"),
                                 UnusedTensors::list(expected)));
  }
  if (!strangers.empty()) {
    files_.warnings.push_back(fmt::format(
        "{}: {} left out that no model of type \"{}\" has, as transformers does: {}", directory_,
        counted(strangers.size(), "tensor"), architecture_.family, UnusedTensors::list(strangers)));
  }
}

void Checkpoint::note_image_layers() {
  const auto& layers = architecture_.image_layers;
  if (layers.empty()) return;
  notes_.push_back(fmt::format("{}: layers left out that only images pass: {}, counted from 0",
                               directory_, fmt::join(layers, ", ")));
}

}  // namespace actsweep
