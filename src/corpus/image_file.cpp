#include "corpus/image_file.h"

#include <algorithm>
#include <charconv>

#include "corpus/corpus_file.h"

namespace actsweep {
namespace {

constexpr auto kImageError = ErrorKind::kCorpus;

}  // namespace

ImageFile::ImageFile(const std::string& path, const PatchLayout& layout) : layout_(layout) {
  path_ = path;
  const auto file = open_corpus_file(path, CorpusKind::kImages);
  map_ = std::make_shared<const MappedFile>(path, kImageError);
  const auto dataset = file.dataset("pixels");
  const auto shape = dataset.shape();
  const auto type = dataset.type();
  require(shape.size() == 4 && shape[1] == 3 && H5Tequal(type.get(), H5T_IEEE_F32LE) > 0,
          kImageError,
          "{}: pixels: expected [image, 3, height, width] of little-endian float32, found another "
          "type or shape",
          path);
  require(shape[0] > 0, kImageError, "{}: pixels: expected at least one image, found none", path);
  height_ = static_cast<int64_t>(shape[2]);
  width_ = static_cast<int64_t>(shape[3]);
  require(grid_rows() > 0 && grid_columns() > 0, kImageError,
          "{}: pixels: expected images of at least one of the model's patches of {} x {} pixels, "
          "found {} x {}",
          path, layout_.patch, layout_.patch, height_, width_);
  const int64_t offset = dataset.file_offset();
  const auto bytes = static_cast<int64_t>(shape[0] * shape[1] * shape[2] * shape[3] * 4);
  require(
      offset % 4 == 0 && offset + bytes <= map_->size(), kImageError,
      "{}: pixels: expected {} bytes at offset {}, found a file of {} bytes; it may be truncated",
      path, bytes, offset, map_->size());
  pixels_ = reinterpret_cast<const float*>(map_->data() + offset);
  fingerprint_ = file.read_text("corpus_fingerprint");
  tokenizer_fingerprint_ = file.read_text("processor_fingerprint");
  name_tokens();
  for (uint64_t image = 0; image <= shape[0]; ++image) {
    document_offset_.push_back(static_cast<int64_t>(image) * tokens_per_image());
  }
}

/// "[CLS]", "[CLS 2]", "[REG 1]", ..., "patch 0,0", ...: the vocabulary of the places in an image.
void ImageFile::name_tokens() {
  const auto add = [&](const std::string& name, uint8_t kind) {
    vocabulary_offset_.push_back(vocabulary_bytes_.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(name.data());
    vocabulary_bytes_.insert(vocabulary_bytes_.end(), bytes, bytes + name.size());
    token_class_.push_back(kind);
  };
  for (int64_t i = 1; i <= layout_.class_tokens; ++i) {
    add(i == 1 ? "[CLS]" : fmt::format("[CLS {}]", i), 0);
  }
  for (int64_t i = 1; i <= layout_.registers; ++i) add(fmt::format("[REG {}]", i), 1);
  for (int64_t row = 0; row < grid_rows(); ++row) {
    for (int64_t column = 0; column < grid_columns(); ++column) {
      add(fmt::format("patch {},{}", row, column), 2);
    }
  }
  vocabulary_offset_.push_back(vocabulary_bytes_.size());
}

int64_t ImageFile::patch_of(uint32_t id) const {
  const int64_t patch = static_cast<int64_t>(id) - layout_.prefix();
  return std::max<int64_t>(patch, -1);
}

Prompt ImageFile::prompt(const std::string& name) const {
  int64_t image = -1;
  const auto* end = name.data() + name.size();
  const auto result = std::from_chars(name.data(), end, image);
  require(result.ec == std::errc() && result.ptr == end && image >= 0 && image < documents(),
          kImageError, "{}: prompt \"{}\": expected the number of an image below {}", path_, name,
          documents());
  Prompt prompt{{}, image};
  for (int64_t i = 0; i < tokens_per_image(); ++i) prompt.ids.push_back(static_cast<uint32_t>(i));
  return prompt;
}

}  // namespace actsweep
