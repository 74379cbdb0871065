#include "corpus/corpus.h"

#include <algorithm>

namespace actsweep {

int64_t Corpus::document_of(int64_t token) const {
  const auto next = std::upper_bound(document_offset_.begin(), document_offset_.end(), token);
  return next - document_offset_.begin() - 1;
}

}  // namespace actsweep
