// Images as a corpus has them.
#pragma once

#include <cstdint>

namespace actsweep {

/// Of all images of a corpus, in pixels.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const ImageSize&) const = default;
};

/// An image in the midst of text, and the run of tokens of its corpus that stands for it.
struct PlacedImage {
  int64_t first_token = 0;
  int64_t tokens = 0;
  const float* pixels = nullptr;  // [3, height, width]

  int64_t end() const { return first_token + tokens; }
};

}  // namespace actsweep
