// One safetensors file: its header proven sound, its tensors as views into the map.
//
// Layout: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}},
// then the data, which opening does not touch. Refuses (kModel) what is no safetensors file, a
// truncated file, a header that is not JSON, unknown dtypes, sizes that do not fit the shape, and
// offsets that overlap, leave holes or pass the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace actsweep {

/// Types of elements that a weight can have; each tensor has its own.
enum class StoredType { kFloat64, kFloat32, kBFloat16, kFloat16 };

/// A tensor as it lies in a checkpoint file, row-major.
struct StoredTensor {
  std::string type_name;           // as the file has it: "F32", "I64", ...
  std::optional<StoredType> type;  // empty where it is none that a weight can have
  std::vector<int64_t> shape;
  int64_t offset = 0;  // of its first byte in the file
  int64_t bytes = 0;
  std::shared_ptr<const MappedFile> file;

  const std::byte* data() const { return file->data() + offset; }
};

/// "[3, 4]", as messages print shapes.
std::string shape_text(const std::vector<int64_t>& shape);

struct SafetensorsFile {
  std::map<std::string, StoredTensor> tensors;
  /// Names that were left out because another name has the same tensor, as `save_model` of the
  /// package safetensors notes them: left out -> kept.
  std::map<std::string, std::string> aliases;
};

SafetensorsFile open_safetensors(const std::string& path);

}  // namespace actsweep
