#include "checkpoint/safetensors.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/stand_in.h"

namespace actsweep {
namespace {

using nlohmann::json;
using Named = std::pair<const std::string, StoredTensor>;

/// Longer headers are refused by the format's own library, too.
constexpr uint64_t kLongestHeader = 100'000'000;

/// The header, without a look at the data behind it.
json read_header(const FileReader& file, int64_t size, int64_t& data_begin) {
  uint64_t length = 0;
  const auto kind = ErrorKind::kModel;
  require(size >= static_cast<int64_t>(sizeof(length)), kind,
          "{}: truncated: expected at least 8 bytes, found {}", file.path(), size);
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  require(length <= static_cast<uint64_t>(size) - sizeof(length) && length <= kLongestHeader, kind,
          "{}: truncated or not a safetensors file: expected a header of {} bytes, found a file of "
          "{} bytes",
          file.path(), length, size);
  data_begin = static_cast<int64_t>(sizeof(length) + length);
  std::string text(length, '\0');
  file.read(sizeof(length), std::as_writable_bytes(std::span(text)));
  auto header = json::parse(text, nullptr, false);
  require(header.is_object(), kind, "{}: the header is not a JSON object", file.path());
  return header;
}

/// Bits of one element, by the names of the format.
const std::map<std::string, int64_t>& type_bits() {
  static const std::map<std::string, int64_t> bits = {
      {"F64", 64},    {"F32", 32},    {"F16", 16},    {"BF16", 16},       {"F8_E4M3", 8},
      {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"F4", 4},
      {"I64", 64},    {"I32", 32},    {"I16", 16},    {"I8", 8},          {"U64", 64},
      {"U32", 32},    {"U16", 16},    {"U8", 8},      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
      {"C64", 64},    {"BOOL", 8}};
  return bits;
}

std::string read_type(const json& entry, const std::string& name, const std::string& path) {
  const auto type = entry.value("dtype", json());
  require(type.is_string() && type_bits().contains(type.get<std::string>()), ErrorKind::kModel,
          "{}: tensor {}: dtype: expected F64, F32, BF16 or F16, found {}", path, name,
          type.dump());
  return type.get<std::string>();
}

std::optional<StoredType> type_of(const std::string& name) {
  if (name == "F64") return StoredType::kFloat64;
  if (name == "F32") return StoredType::kFloat32;
  if (name == "BF16") return StoredType::kBFloat16;
  if (name == "F16") return StoredType::kFloat16;
  return std::nullopt;
}

/// Whole numbers that bytes can be counted with; empty for anything else.
std::optional<std::vector<int64_t>> read_lengths(const json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<int64_t> lengths;
  for (const auto& length : list) {
    constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!length.is_number_unsigned() || length.get<uint64_t>() > kLargest) return std::nullopt;
    lengths.push_back(length.get<int64_t>());
  }
  return lengths;
}

/// Empty where the tensor is larger than any file.
std::optional<int64_t> bytes_of(const std::string& type, const std::vector<int64_t>& shape) {
  int64_t bits = type_bits().at(type);
  for (const auto length : shape) {
    if (__builtin_mul_overflow(bits, length, &bits)) return std::nullopt;
  }
  return (bits + 7) / 8;
}

StoredTensor read_entry(const json& entry, const std::string& name, const std::string& path) {
  require(entry.is_object() && entry.contains("shape") && entry.contains("data_offsets"),
          ErrorKind::kModel, "{}: tensor {}: expected dtype, shape and data_offsets, found {}",
          path, name, entry.dump());
  StoredTensor tensor;
  tensor.type_name = read_type(entry, name, path);
  tensor.type = type_of(tensor.type_name);
  const auto& shape = entry.at("shape");
  const auto lengths = read_lengths(shape);
  require(lengths.has_value(), ErrorKind::kModel,
          "{}: tensor {}: shape: expected lengths, found {}", path, name, shape.dump());
  tensor.shape = *lengths;
  const auto offsets = read_lengths(entry.at("data_offsets"));
  require(offsets && offsets->size() == 2, ErrorKind::kModel,
          "{}: tensor {}: data_offsets: expected [begin, end], found {}", path, name,
          entry.at("data_offsets").dump());
  tensor.offset = offsets->at(0);
  tensor.bytes = offsets->at(1) - tensor.offset;
  const auto bytes = bytes_of(tensor.type_name, tensor.shape);
  require(bytes == tensor.bytes, ErrorKind::kModel,
          "{}: tensor {}: expected {} bytes for {} {}, found data_offsets {}", path, name,
          bytes ? std::to_string(*bytes) : "more", tensor.type_name, shape_text(tensor.shape),
          entry.at("data_offsets").dump());
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

SafetensorsFile open_safetensors(const std::string& path) {
  SafetensorsFile opened;
  int64_t data_begin = 0;
  const FileReader reader(path, ErrorKind::kModel);
  const auto other = stand_in_for_safetensors(path);
  require(other.empty(), ErrorKind::kModel, "{}: {}", path, other);
  const auto header = read_header(reader, reader.state().size, data_begin);
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") {
      opened.tensors.emplace(name, read_entry(entry, name, path));
      continue;
    }
    for (const auto& [left_out, kept] : entry.items()) {
      if (kept.is_string()) opened.aliases.emplace(left_out, kept.get<std::string>());
    }
  }
  const auto file = std::make_shared<const MappedFile>(path, ErrorKind::kModel);
  std::vector<const Named*> all;
  for (const auto& tensor : opened.tensors) all.push_back(&tensor);
  check_tiling(all, *file, data_begin);
  for (auto& [name, tensor] : opened.tensors) {
    tensor.offset += data_begin;
    tensor.file = file;
  }
  return opened;
}

}  // namespace actsweep
