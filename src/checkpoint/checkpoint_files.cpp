#include "checkpoint/checkpoint_files.h"

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/json_file.h"
#include "base/stand_in.h"
#include "checkpoint/hub_cache.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;
constexpr auto kKind = ErrorKind::kModel;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr size_t kMostNamed = 5;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

/// Files beside which weights were looked for in vain: other formats, variants, adapters.
std::string describe_found(const fs::path& directory) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const auto extension = entry.path().extension().string();
    for (const char* known : {".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack",
                              ".onnx", ".index.json"}) {
      const auto name = entry.path().filename().string();
      if (extension == known || name.ends_with(known)) names.insert(name);
    }
  }
  if (names.empty()) return "neither";
  std::string found;
  size_t named = 0;
  for (const auto& name : names) {
    if (named++ == kMostNamed)
      return fmt::format("{} and {} more", found, names.size() - kMostNamed);
    found += (found.empty() ? "" : ", ") + name;
  }
  return found;
}

std::string cure_for(const fs::path& directory) {
  if (is_file(directory / "adapter_config.json")) {
    return "; an adapter is no model: data/prepare_model.py merge_adapter adds it to its base";
  }
  if (is_file(directory / "pytorch_model.bin") ||
      is_file(directory / "pytorch_model.bin.index.json")) {
    return "; data/prepare_model.py torch makes safetensors of it";
  }
  return unfinished_download(directory.string());
}

/// The names of the shards, in their order.
std::set<std::string> read_index(const std::string& path) {
  const auto index = read_json_file(path, kKind);
  require(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
          kKind, "{}: expected a JSON object with \"weight_map\"", path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    require(shard.is_string(), kKind, "{}: tensor {}: expected a file name, found {}", path, name,
            shard.dump());
    const auto file_name = shard.get<std::string>();
    require(fs::path(file_name).filename() == file_name, kKind,
            "{}: tensor {}: expected a file of this directory, found {}", path, name, file_name);
    shards.insert(file_name);
  }
  require(!shards.empty(), kKind, "{}: \"weight_map\": expected names of shards, found none", path);
  return shards;
}

CheckpointFiles open_single(const std::string& path) {
  auto opened = open_safetensors(path);
  return {std::move(opened.tensors), std::move(opened.aliases), {}};
}

CheckpointFiles open_sharded(const fs::path& directory, const std::string& index) {
  CheckpointFiles all;
  std::vector<std::string> doubled;
  std::string last_file;
  for (const auto& shard : read_index(index)) {
    const auto path = directory / shard;
    require(is_file(path), kKind,
            "{}: missing, though {} names it: expected all shards, download the rest{}",
            path.string(), index, unfinished_download(directory.string()));
    auto opened = open_safetensors(path.string());
    for (auto& [name, tensor] : opened.tensors) {
      const auto [place, is_new] = all.tensors.insert_or_assign(name, std::move(tensor));
      if (!is_new) doubled.push_back(name);
      if (!is_new) last_file = place->second.file->path();
    }
    all.aliases.merge(opened.aliases);
  }
  if (!doubled.empty()) {
    all.warnings.push_back(fmt::format(
        "{}: tensor {}: {} in two shards; the later one, {}, is read, as transformers does",
        directory.string(), doubled.back(),
        doubled.size() == 1 ? "it is" : fmt::format("it and {} others are", doubled.size() - 1),
        last_file));
  }
  return all;
}

CheckpointFiles open_named(const fs::path& directory, const std::string& name,
                           const std::string& config_path) {
  require(fs::path(name).filename() == name &&
              (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")),
          kKind,
          "{}: \"transformers_weights\": expected a safetensors file of this directory or an index "
          "of shards, found \"{}\"",
          config_path, name);
  const auto path = (directory / name).string();
  require(is_file(path), kKind, "{}: missing, though \"transformers_weights\" of {} names it{}", path,
          config_path, unfinished_download(directory.string()));
  return name.ends_with(".json") ? open_sharded(directory, path) : open_single(path);
}

}  // namespace

CheckpointFiles open_checkpoint_files(const std::string& directory, const Config& config) {
  const fs::path folder = directory;
  if (config.has("transformers_weights")) {
    return open_named(folder, config.text("transformers_weights"), config.path());
  }
  const bool has_index = is_file(folder / kIndex);
  if (is_file(folder / kSingle)) {
    auto files = open_single((folder / kSingle).string());
    if (has_index) {
      files.warnings.push_back(
          fmt::format("{}: is read, as transformers does, and the shards of {} beside it are not",
                      (folder / kSingle).string(), kIndex));
    }
    return files;
  }
  require(has_index, kKind, "{}: expected {} or {}, found {}{}", directory, kSingle, kIndex,
          describe_found(folder), cure_for(folder));
  return open_sharded(folder, (folder / kIndex).string());
}

const std::string& without_stand_ins(const std::string& directory) {
  for (const char* name : {"config.json", "tokenizer.json", kIndex}) {
    const auto path = (fs::path(directory) / name).string();
    const auto other = stand_in_for_json(path);
    require(other.empty(), kKind, "{}: {}", path, other);
  }
  return directory;
}

}  // namespace actsweep
