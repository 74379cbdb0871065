// The pixels of images of one size, mapped and not loaded.
//
// In: a dataset [image, 3, height, width]. Refuses (ErrorKind::kCorpus) one that holds no image, or
// anything else than contiguous float32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/h5.h"
#include "base/mapped_file.h"
#include "corpus/placed_image.h"

namespace actsweep {

class Pixels {
 public:
  Pixels(const H5File& file, const std::string& path, std::shared_ptr<const MappedFile> map);

  int64_t images() const { return images_; }
  const ImageSize& size() const { return size_; }
  /// [3, height, width] of one image.
  const float* of(int64_t image) const { return first_ + image * 3 * size_.height * size_.width; }

 private:
  std::shared_ptr<const MappedFile> map_;
  const float* first_ = nullptr;
  int64_t images_ = 0;
  ImageSize size_;
};

}  // namespace actsweep
