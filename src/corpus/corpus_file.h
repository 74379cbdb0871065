// The HDF5 files of corpora: of which kind one is, and that it can be read.
#pragma once

#include <string>

#include "base/h5.h"
#include "corpus/kind.h"

namespace actsweep {

/// The kind of a corpus file, by its attribute `schema`; refuses (kCorpus) another file.
CorpusKind kind_of_corpus(const std::string& path);

/// Opens a corpus file; refuses (kCorpus) one of the other kind or of another version.
H5File open_corpus_file(const std::string& path, CorpusKind kind);

}  // namespace actsweep
