#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace actsweep {
namespace {

using nlohmann::json;
using Named = std::pair<const std::string, StoredTensor>;

/// The header's bytes, or an Error where the file is too short to hold them.
json read_header(const MappedFile& file, int64_t& data_begin) {
  uint64_t length = 0;
  require(file.size() >= static_cast<int64_t>(sizeof(length)), ErrorKind::kModel,
          "{}: truncated: expected at least 8 bytes, found {}", file.path(), file.size());
  std::memcpy(&length, file.data(), sizeof(length));
  require(length <= static_cast<uint64_t>(file.size()) - sizeof(length), ErrorKind::kModel,
          "{}: truncated or not a safetensors file: expected a header of {} bytes, found a file of "
          "{} bytes",
          file.path(), length, file.size());
  data_begin = static_cast<int64_t>(sizeof(length) + length);
  const auto* text = reinterpret_cast<const char*>(file.data()) + sizeof(length);
  auto header = json::parse(text, text + length, nullptr, false);
  require(header.is_object(), ErrorKind::kModel, "{}: the header is not a JSON object",
          file.path());
  return header;
}

/// Bytes of one element, by the names of the format.
const std::map<std::string, int64_t>& type_sizes() {
  static const std::map<std::string, int64_t> sizes = {
      {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1},
      {"F8_E5M2", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
      {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}};
  return sizes;
}

std::string read_type(const json& entry, const std::string& name, const std::string& path) {
  const auto type = entry.value("dtype", json());
  require(type.is_string() && type_sizes().contains(type.get<std::string>()), ErrorKind::kModel,
          "{}: tensor {}: dtype: expected F32, BF16 or F16, found {}", path, name, type.dump());
  return type.get<std::string>();
}

std::optional<Dtype> dtype_of(const std::string& type) {
  if (type == "F32") return Dtype::kFloat32;
  if (type == "BF16") return Dtype::kBFloat16;
  if (type == "F16") return Dtype::kFloat16;
  return std::nullopt;
}

StoredTensor read_entry(const json& entry, const std::string& name, const std::string& path) {
  require(entry.is_object() && entry.contains("shape") && entry.contains("data_offsets"),
          ErrorKind::kModel, "{}: tensor {}: expected dtype, shape and data_offsets, found {}",
          path, name, entry.dump());
  StoredTensor tensor;
  tensor.type = read_type(entry, name, path);
  tensor.dtype = dtype_of(tensor.type);
  int64_t elements = 1;
  for (const auto& length : entry.at("shape")) {
    require(length.is_number_unsigned(), ErrorKind::kModel,
            "{}: tensor {}: shape: expected lengths, found {}", path, name,
            entry.at("shape").dump());
    tensor.shape.push_back(length.get<int64_t>());
    elements *= tensor.shape.back();
  }
  const auto& offsets = entry.at("data_offsets");
  require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
              offsets[1].is_number_unsigned(),
          ErrorKind::kModel, "{}: tensor {}: data_offsets: expected [begin, end], found {}", path,
          name, offsets.dump());
  tensor.offset = offsets[0].get<int64_t>();
  tensor.bytes = offsets[1].get<int64_t>() - tensor.offset;
  const int64_t bytes = elements * type_sizes().at(tensor.type);
  require(tensor.bytes == bytes, ErrorKind::kModel,
          "{}: tensor {}: expected {} bytes for {} {}, found data_offsets {}", path, name, bytes,
          tensor.dtype ? name_of(*tensor.dtype) : tensor.type, shape_text(tensor.shape),
          offsets.dump());
  return tensor;
}

/// Tensors must tile the data exactly: no overlap, no hole, nothing past the end.
void check_tiling(std::vector<const Named*> tensors, const MappedFile& file, int64_t data_begin) {
  std::sort(tensors.begin(), tensors.end(), [](const Named* a, const Named* b) {
    return std::pair(a->second.offset, a->second.bytes) <
           std::pair(b->second.offset, b->second.bytes);
  });
  int64_t expected = 0;
  for (const auto* tensor : tensors) {
    const auto& [name, stored] = *tensor;
    require(
        stored.offset + stored.bytes <= file.size() - data_begin, ErrorKind::kModel,
        "{}: tensor {}: out of range: expected its data within {} bytes, found it ending at {}; "
        "the file may be truncated",
        file.path(), name, file.size() - data_begin, stored.offset + stored.bytes);
    require(stored.offset == expected, ErrorKind::kModel,
            "{}: tensor {}: {} another tensor's: expected its data at offset {}, found {}",
            file.path(), name, stored.offset < expected ? "overlaps" : "leaves a hole behind",
            expected, stored.offset);
    expected += stored.bytes;
  }
  require(expected == file.size() - data_begin, ErrorKind::kModel,
          "{}: expected {} bytes of data by the header, found {}", file.path(), expected,
          file.size() - data_begin);
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::map<std::string, StoredTensor> open_safetensors(const std::string& path) {
  const auto file = std::make_shared<const MappedFile>(path, ErrorKind::kModel);
  int64_t data_begin = 0;
  const auto header = read_header(*file, data_begin);
  std::map<std::string, StoredTensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    tensors.emplace(name, read_entry(entry, name, path));
  }
  std::vector<const Named*> all;
  for (const auto& tensor : tensors) all.push_back(&tensor);
  check_tiling(all, *file, data_begin);
  for (auto& [name, tensor] : tensors) {
    tensor.offset += data_begin;
    tensor.file = file;
  }
  return tensors;
}

}  // namespace actsweep
