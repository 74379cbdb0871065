#include "corpus/corpus.h"

#include <algorithm>

#include "base/h5.h"

namespace actsweep {

int64_t Corpus::document_of(int64_t token) const {
  const auto next = std::upper_bound(document_offset_.begin(), document_offset_.end(), token);
  return next - document_offset_.begin() - 1;
}

CorpusKind kind_of_corpus(const std::string& path) {
  const auto file = H5File::open(path, ErrorKind::kCorpus);
  const auto schema = file.has_attribute("schema") ? file.read_text("schema") : "";
  if (schema == "actsweep-images") return CorpusKind::kImages;
  require(schema == "actsweep-corpus", ErrorKind::kCorpus,
          "{}: expected a token file of data/prepare_corpus.py (attribute schema = "
          "\"actsweep-corpus\") or an image file of data/prepare_images.py (\"actsweep-images\"), "
          "found another HDF5 file",
          path);
  return CorpusKind::kText;
}

}  // namespace actsweep
