#include "checkpoint/model_fingerprint.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/sha256.h"
#include "checkpoint/tensor_digests.h"

namespace actsweep {
namespace {

/// The ranges of the tensors that are read, by file, with what is known of them.
std::vector<FileRanges> ranges_of(const Checkpoint& checkpoint) {
  std::unordered_map<const MappedFile*, std::set<ByteRange>> wanted;
  std::unordered_map<const MappedFile*, std::shared_ptr<const MappedFile>> files;
  for (const auto& [name, tensor] : checkpoint.used()) {
    if (checkpoint.is_of_classifier(name)) continue;
    files[tensor->file.get()] = tensor->file;
    wanted[tensor->file.get()].insert({tensor->offset, tensor->bytes});
  }
  std::vector<FileRanges> ranges;
  for (const auto& [key, file] : files) {
    const auto& own = wanted[key];
    ranges.push_back(
        {file, {own.begin(), own.end()}, read_digest_cache(file->path(), file->state())});
  }
  std::ranges::sort(ranges, {}, [](const FileRanges& each) { return each.file->path(); });
  return ranges;
}

std::string combine(const Checkpoint& checkpoint, const std::vector<FileRanges>& files) {
  std::unordered_map<const MappedFile*, const RangeDigests*> digests;
  for (const auto& file : files) digests[file.file.get()] = &file.digests;
  Sha256 hash;
  auto config = checkpoint.config().values();
  for (const char* key : {"_name_or_path", "transformers_version"}) config.erase(key);
  hash.add(std::string_view(config.dump()));
  const auto& section = checkpoint.quantisation().beside_config();
  if (!section.empty()) hash.add(std::string_view(section.dump()));
  const std::map<std::string, const StoredTensor*> by_name(checkpoint.used().begin(),
                                                           checkpoint.used().end());
  for (const auto& [name, tensor] : by_name) {
    if (checkpoint.is_of_classifier(name)) continue;
    const auto& digest = digests.at(tensor->file.get())->at({tensor->offset, tensor->bytes});
    hash.add(
        fmt::format("{} {} {} {}\n", name, tensor->type_name, shape_text(tensor->shape), digest));
  }
  return hash.hex();
}

}  // namespace

std::string fingerprint_of(const Checkpoint& checkpoint, const OnHashed& on_hashed) {
  auto files = ranges_of(checkpoint);
  const auto keep = [](const FileRanges& file) {
    write_digest_cache(file.file->path(), file.file->state(), file.digests);
  };
  hash_ranges(files, keep, on_hashed);
  return combine(checkpoint, files);
}

std::string classifier_fingerprint_of(const Checkpoint& checkpoint) {
  const auto& classifier = checkpoint.classifier();
  if (!classifier) return "";
  Sha256 hash;
  hash.add(fmt::format("{} {} {}\n", static_cast<int>(classifier->features),
                       classifier->takes_final_norm, classifier->has_direction));
  for (const auto& row : classifier->rows) {
    const auto& tensor = checkpoint.tensor(row, 0);
    hash.add(fmt::format("{} {} {}\n", row.name, tensor.type_name, shape_text(tensor.shape)));
    hash.add(std::span(tensor.data(), static_cast<size_t>(tensor.bytes)));
  }
  return hash.hex();
}

std::optional<std::string> known_fingerprint_of(const Checkpoint& checkpoint) {
  const auto files = ranges_of(checkpoint);
  for (const auto& file : files) {
    for (const auto& range : file.wanted) {
      if (!file.digests.contains(range)) return std::nullopt;
    }
  }
  return combine(checkpoint, files);
}

}  // namespace actsweep
