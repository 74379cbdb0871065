#include "model/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/sha256.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Tensors = std::map<std::string, StoredTensor>;

json read_index(const std::string& path) {
  std::ifstream file(path);
  auto index = json::parse(file, nullptr, false);
  require(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
          ErrorKind::kModel, "{}: expected a JSON object with \"weight_map\"", path);
  return index["weight_map"];
}

/// The shards that an index names, each tensor where the index says, and no tensor that it does not
/// name.
Tensors open_sharded(const fs::path& directory, const std::string& index_path) {
  const auto weight_map = read_index(index_path);
  std::map<std::string, Tensors> shards;
  for (const auto& [name, shard] : weight_map.items()) {
    require(shard.is_string(), ErrorKind::kModel, "{}: tensor {}: expected a file name, found {}",
            index_path, name, shard.dump());
    const auto file = shard.get<std::string>();
    require(fs::path(file).filename() == file, ErrorKind::kModel,
            "{}: tensor {}: expected a file of this directory, found {}", index_path, name, file);
    if (!shards.contains(file)) shards[file] = open_safetensors((directory / file).string());
    require(shards[file].contains(name), ErrorKind::kModel,
            "{}: tensor {}: missing, though {} places it there", (directory / file).string(), name,
            index_path);
  }
  Tensors all;
  for (auto& [file, tensors] : shards) {
    for (auto& [name, tensor] : tensors) {
      require(weight_map.value(name, "") == file, ErrorKind::kModel,
              "{}: tensor {}: not placed there by {}", (directory / file).string(), name,
              index_path);
      all.emplace(name, std::move(tensor));
    }
  }
  return all;
}

Tensors open_tensors(const fs::path& directory) {
  const auto index = (directory / "model.safetensors.index.json").string();
  if (fs::exists(index)) return open_sharded(directory, index);
  const auto single = (directory / "model.safetensors").string();
  require(fs::exists(single), ErrorKind::kModel,
          "{}: expected model.safetensors or model.safetensors.index.json, found neither",
          directory.string());
  return open_safetensors(single);
}

void add_tensor(Sha256& hash, const std::string& name, const StoredTensor& tensor) {
  constexpr int64_t kEdgeBytes = 64 * 1024;
  hash.add(fmt::format("{} {} {}\n", name, tensor.dtype ? name_of(*tensor.dtype) : tensor.type,
                       shape_text(tensor.shape)));
  const int64_t edge = std::min(kEdgeBytes, tensor.bytes);
  hash.add({tensor.data(), static_cast<size_t>(edge)});
  hash.add({tensor.data() + tensor.bytes - edge, static_cast<size_t>(edge)});
}

}  // namespace

Checkpoint::Checkpoint(const std::string& directory)
    : directory_(directory),
      config_(read_config(directory)),
      family_(&family_of(config_)),
      architecture_(family_->read(config_)),
      rows_(family_->rows(architecture_)),
      tensors_(open_tensors(directory)) {
  architecture_.name = name();
  const auto& first = rows_.front().name;
  lacks_prefix_ = !tensors_.contains(first) && first.starts_with(family_->prefix) &&
                  tensors_.contains(first.substr(family_->prefix.size()));
  check_rows();
  check_unused();
}

std::string Checkpoint::name() const {
  auto path = fs::weakly_canonical(directory_);
  return path.filename().string();
}

/// Checkpoints saved from the bare model lack the prefix that the family's names begin with.
std::string Checkpoint::stored_name(const TensorRow& row, int64_t layer) const {
  const auto name = tensor_name(row, layer);
  return lacks_prefix_ && name.starts_with(family_->prefix) ? name.substr(family_->prefix.size())
                                                            : name;
}

const StoredTensor& Checkpoint::tensor(const TensorRow& row, int64_t layer) const {
  return tensors_.at(stored_name(row, layer));
}

void Checkpoint::check_rows() const {
  std::optional<Dtype> dtype;
  for (const auto& row : rows_) {
    const int64_t copies = row.is_per_layer() ? architecture_.layers : 1;
    for (int64_t layer = 0; layer < copies; ++layer) {
      if (row.is_per_layer() && !row.is_in(architecture_, layer)) continue;
      const auto name = stored_name(row, layer);
      const auto found = tensors_.find(name);
      require(found != tensors_.end(), ErrorKind::kModel,
              "{}: tensor {}: missing; {} expects it with shape {}", directory_, name,
              config_.path(), shape_text(row.shape));
      const auto& tensor = found->second;
      require(tensor.shape == row.shape, ErrorKind::kModel,
              "{}: tensor {}: expected shape {} by {}, found {}", tensor.file->path(), name,
              shape_text(row.shape), config_.path(), shape_text(tensor.shape));
      require(tensor.dtype.has_value(), ErrorKind::kModel,
              "{}: tensor {}: dtype: expected F32, BF16 or F16, found \"{}\"", tensor.file->path(),
              name, tensor.type);
      if (!dtype) dtype = tensor.dtype;
      require(tensor.dtype == dtype, ErrorKind::kModel,
              "{}: tensor {}: expected {} as the tensors before it, found {}", tensor.file->path(),
              name, name_of(*dtype), name_of(*tensor.dtype));
    }
  }
}

/// Whether the family ignores a stored tensor.
bool Checkpoint::is_ignored(const std::string& name) const {
  const auto is_match = [&](const std::string& pattern) {
    if (pattern.ends_with(".*")) return name.starts_with(pattern.substr(0, pattern.size() - 1));
    for (int64_t layer = 0; layer < architecture_.layers; ++layer) {
      if (name == tensor_name({.name = pattern, .shape = {}}, layer)) return true;
    }
    return false;
  };
  return std::any_of(family_->ignored.begin(), family_->ignored.end(), [&](const auto& pattern) {
    return is_match(lacks_prefix_ && pattern.starts_with(family_->prefix)
                        ? pattern.substr(family_->prefix.size())
                        : pattern);
  });
}

void Checkpoint::check_unused() const {
  std::set<std::string> known;
  for (const auto& row : rows_) {
    for (int64_t layer = 0; layer < architecture_.layers; ++layer) {
      if (!row.is_per_layer() || row.is_in(architecture_, layer)) {
        known.insert(stored_name(row, layer));
      }
    }
  }
  if (architecture_.ties_embeddings) known.insert({"lm_head.weight", "embed_out.weight"});
  for (const auto& [name, tensor] : tensors_) {
    require(known.contains(name) || is_ignored(name), ErrorKind::kModel,
            "{}: tensor {}: not used by a model of type \"{}\" with {} layers as {} describes it; "
            "found it with shape {}",
            tensor.file->path(), name, architecture_.family, architecture_.layers, config_.path(),
            shape_text(tensor.shape));
  }
}

std::string Checkpoint::fingerprint() const {
  Sha256 hash;
  auto config = config_.values();
  for (const char* key : {"_name_or_path", "transformers_version"}) config.erase(key);
  hash.add(std::string_view(config.dump()));
  for (const auto& [name, tensor] : tensors_) add_tensor(hash, name, tensor);
  return hash.hex();
}

}  // namespace actsweep
