// The HDF5 files of corpora: of which kind one is, and that it can be read.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/h5.h"
#include "corpus/kind.h"

namespace actsweep {

/// The kind of a corpus file, by its attribute `schema`; refuses (kCorpus) another file.
CorpusKind kind_of_corpus(const std::string& path);

/// Opens a corpus file; refuses (kCorpus) one of the other kind or of another version.
H5File open_corpus_file(const std::string& path, CorpusKind kind);

/// All values of a one-dimensional dataset.
template <typename T>
std::vector<T> read_vector(const H5File& file, const std::string& path, hid_t memory_type) {
  const auto dataset = file.dataset(path);
  const auto shape = dataset.shape();
  require(shape.size() == 1, ErrorKind::kCorpus, "{}: {}: expected one axis, found {}", file.file(),
          path, shape.size());
  std::vector<T> values(shape[0]);
  if (!values.empty()) dataset.read_all(memory_type, values.data());
  return values;
}

}  // namespace actsweep
