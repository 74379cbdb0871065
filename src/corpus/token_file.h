// A tokenised corpus, as data/prepare_corpus.py writes it.
//
// In: an HDF5 token file. Out: token ids (mapped, not loaded), document offsets, the vocabulary's
// bytes, the class of each id, the named prompts. Refuses (ErrorKind::kCorpus) files of another
// schema, missing datasets, ids stored in another layout than contiguous uint32, offsets that do
// not fit the ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace actsweep {

class TokenFile {
 public:
  explicit TokenFile(const std::string& path);

  const std::string& path() const { return path_; }
  int64_t tokens() const { return static_cast<int64_t>(ids_.size()); }
  int64_t documents() const { return static_cast<int64_t>(document_offset_.size()) - 1; }
  std::span<const uint32_t> ids() const { return ids_; }
  /// [documents + 1] first token of each document, then the number of tokens.
  const std::vector<int64_t>& document_offset() const { return document_offset_; }
  /// The document that a corpus token belongs to.
  int64_t document_of(int64_t token) const;
  /// The class of an id: 1 delimiter, 2 weak-semantic word, 3 other.
  uint8_t class_of(uint32_t id) const { return token_class_[id]; }
  int64_t vocabulary_size() const { return static_cast<int64_t>(token_class_.size()); }
  const std::vector<std::byte>& vocabulary_bytes() const { return vocabulary_bytes_; }
  const std::vector<uint64_t>& vocabulary_offset() const { return vocabulary_offset_; }
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& tokenizer_fingerprint() const { return tokenizer_fingerprint_; }
  /// "none", "bos" or "bos-eos": the special tokens that preparation put around each document.
  const std::string& special_tokens() const { return special_tokens_; }
  /// -1 where the tokenizer has none.
  int64_t bos_id() const { return bos_id_; }
  /// The ids of a named prompt; refuses an unknown name and lists the known ones.
  std::vector<uint32_t> prompt(const std::string& name) const;

  /// Refuses the corpus if an id lies beyond a model's vocabulary of this size.
  void check_ids(int64_t vocabulary) const;

 private:
  std::string path_;
  std::shared_ptr<const MappedFile> map_;
  std::span<const uint32_t> ids_;
  std::vector<int64_t> document_offset_;
  std::vector<uint8_t> token_class_;
  std::vector<std::byte> vocabulary_bytes_;
  std::vector<uint64_t> vocabulary_offset_;
  std::string fingerprint_;
  std::string tokenizer_fingerprint_;
  std::string special_tokens_;
  int64_t bos_id_ = -1;
};

}  // namespace actsweep
