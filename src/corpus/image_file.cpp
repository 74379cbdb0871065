#include "corpus/image_file.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "corpus/corpus_file.h"

namespace actsweep {
namespace {

constexpr auto kImageError = ErrorKind::kCorpus;

}  // namespace

ImageFile::ImageFile(const std::string& path, const PatchLayout& layout)
    : ImageFile(open_corpus_file(path, CorpusKind::kImages), path, layout) {}

ImageFile::ImageFile(const H5File& file, const std::string& path, const PatchLayout& layout)
    : layout_(layout),
      pixels_(file, "pixels", std::make_shared<const MappedFile>(path, kImageError)) {
  path_ = path;
  require(grid_rows() > 0 && grid_columns() > 0, kImageError,
          "{}: pixels: expected images of at least one of the model's patches of {} x {} pixels, "
          "found {} x {}",
          path, layout_.patch, layout_.patch, size().height, size().width);
  fingerprint_ = file.read_text("corpus_fingerprint");
  tokenizer_fingerprint_ = file.read_text("processor_fingerprint");
  name_tokens();
  read_labels(file);
  for (int64_t image = 0; image <= pixels_.images(); ++image) {
    document_offset_.push_back(image * tokens_per_image());
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

void ImageFile::read_labels(const H5File& file) {
  if (!file.contains("label")) return;
  const auto dataset = file.dataset("label");
  const auto shape = dataset.shape();
  require(shape.size() == 1 && static_cast<int64_t>(shape[0]) == pixels_.images(), kImageError,
          "{}: label: expected one for each of {} images, found another shape", path_,
          pixels_.images());
  labels_.resize(shape[0]);
  dataset.read_all(H5T_NATIVE_UINT32, labels_.data());
  label_names_ = file.read_text("label_names");
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
