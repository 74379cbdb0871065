// One safetensors file: its header proven sound, its tensors as views into the map.
//
// Layout: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}},
// then the data. Refuses (kModel) a truncated file, a header that is not JSON, unknown dtypes,
// sizes that do not fit the shape, and offsets that overlap, leave holes or pass the end, naming
// file, tensor, expected and found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "job/job.h"

namespace actsweep {

/// A tensor as it lies in a checkpoint file, row-major.
struct StoredTensor {
  std::string type;            // as the file has it: "F32", "I64", ...
  std::optional<Dtype> dtype;  // empty where the type is none that a weight can have
  std::vector<int64_t> shape;
  int64_t offset = 0;  // of its first byte in the file
  int64_t bytes = 0;
  std::shared_ptr<const MappedFile> file;

  const std::byte* data() const { return file->data() + offset; }
};

/// "[3, 4]", as messages print shapes.
std::string shape_text(const std::vector<int64_t>& shape);

/// All tensors of a file by name.
std::map<std::string, StoredTensor> open_safetensors(const std::string& path);

}  // namespace actsweep
