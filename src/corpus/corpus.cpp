#include "corpus/corpus.h"

#include <algorithm>

namespace actsweep {

int64_t Corpus::document_of(int64_t token) const {
  const auto next = std::upper_bound(document_offset_.begin(), document_offset_.end(), token);
  return next - document_offset_.begin() - 1;
}

std::span<const PlacedImage> Corpus::images_among(int64_t begin, int64_t end) const {
  const auto all = images();
  const auto first = std::ranges::lower_bound(all, begin, {}, &PlacedImage::first_token);
  const auto behind = std::ranges::lower_bound(all, end, {}, &PlacedImage::first_token);
  return {first, behind};
}

}  // namespace actsweep
