// A corpus of images, as data/prepare_images.py writes it.
//
// In: an HDF5 file of normalised pixels, and how a model cuts an image into tokens. Out: the pixels
// (mapped, not loaded) and the corpus that they make. Refuses (ErrorKind::kCorpus) files of another
// schema, pixels stored otherwise than as contiguous float32, images smaller than a patch, labels
// of some images alone.
#pragma once

#include <string>

#include "corpus/corpus.h"
#include "corpus/pixels.h"

namespace actsweep {

/// The tokens of one image: its class tokens, registers, the patches row by row.
struct PatchLayout {
  int64_t patch = 1;  // height and width of a patch in pixels
  int64_t class_tokens = 1;
  int64_t registers = 0;

  int64_t prefix() const { return class_tokens + registers; }
};

class ImageFile : public Corpus {
 public:
  ImageFile(const std::string& path, const PatchLayout& layout);

  CorpusKind kind() const override { return CorpusKind::kImages; }
  uint32_t id(int64_t token) const override { return token % tokens_per_image(); }
  /// An image by its number, as text.
  Prompt prompt(const std::string& name) const override;

  const ImageSize& size() const { return pixels_.size(); }
  int64_t tokens_per_image() const { return vocabulary_size(); }
  /// The grid of whole patches; pixels behind the last ones belong to no token.
  int64_t grid_rows() const { return size().height / layout_.patch; }
  int64_t grid_columns() const { return size().width / layout_.patch; }
  /// The place of the first patch among an image's tokens.
  int64_t first_patch() const { return layout_.prefix(); }
  /// The patch of an id, counted row by row; -1 for class tokens and registers.
  int64_t patch_of(uint32_t id) const;
  /// [3, height, width] of one image.
  const float* pixels(int64_t image) const { return pixels_.of(image); }
  /// [images] the class of each, counted along the label names; none where it is not known.
  const std::vector<uint32_t>& labels() const { return labels_; }
  /// As JSON, a list of texts.
  const std::string& label_names() const { return label_names_; }

 private:
  void name_tokens();
  void read_labels(const H5File& file);

  ImageFile(const H5File& file, const std::string& path, const PatchLayout& layout);

  PatchLayout layout_;
  Pixels pixels_;
  std::vector<uint32_t> labels_;
  std::string label_names_;
};

}  // namespace actsweep
