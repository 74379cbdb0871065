// The images in the midst of a text: their pixels, and the tokens that stand for them.
//
// In: the group "images" of a token file. Out: images in the order of their tokens. Refuses
// (ErrorKind::kCorpus) images whose tokens overlap, go beyond the corpus or its documents, or are
// others than those that stand for images.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "corpus/pixels.h"

namespace actsweep {

class TextImages {
 public:
  TextImages(const H5File& file, std::shared_ptr<const MappedFile> map,
             const std::vector<int64_t>& document_offset);

  const ImageSize& size() const { return pixels_.size(); }
  const std::vector<PlacedImage>& list() const { return list_; }
  /// Refuses ids of which not exactly those that stand for the images are `image_id`.
  void check_ids(std::span<const uint32_t> ids, uint32_t image_id) const;

 private:
  std::string path_;
  Pixels pixels_;
  std::vector<PlacedImage> list_;
};

}  // namespace actsweep
