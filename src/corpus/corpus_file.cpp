#include "corpus/corpus_file.h"

namespace actsweep {
namespace {

constexpr auto kError = ErrorKind::kCorpus;

const char* program_of(CorpusKind kind) {
  return kind == CorpusKind::kText ? "a token file of data/prepare_corpus.py"
                                   : "an image file of data/prepare_images.py";
}

}  // namespace

CorpusKind kind_of_corpus(const std::string& path) {
  const auto file = H5File::open(path, kError);
  const auto schema = file.has_attribute("schema") ? file.read_text("schema") : "";
  if (schema == "actsweep-images") return CorpusKind::kImages;
  require(schema == "actsweep-corpus", kError,
          "{}: expected a token file of data/prepare_corpus.py (attribute schema = "
          "\"actsweep-corpus\") or an image file of data/prepare_images.py (\"actsweep-images\"), "
          "found another HDF5 file",
          path);
  return CorpusKind::kText;
}

H5File open_corpus_file(const std::string& path, CorpusKind kind) {
  const auto found = kind_of_corpus(path);
  require(found == kind, kError, "{}: expected {}, found {}", path, program_of(kind),
          program_of(found));
  auto file = H5File::open(path, kError);
  const auto version = file.read_int("schema_version");
  require(version == 1, kError, "{}: schema_version: expected 1, found {}", path, version);
  return file;
}

}  // namespace actsweep
