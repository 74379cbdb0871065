// A corpus: documents of tokens, whatever they are made of. What windows, segments and labels see.
//
// In text a document is a text and a token's id stands in the vocabulary of a tokenizer. In images
// a document is an image, and its tokens are those that the model makes of it, in their order: the
// id is the place in that order, and the vocabulary names the places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corpus/kind.h"
#include "corpus/placed_image.h"
#include "corpus/request.h"

namespace actsweep {

/// A sequence of the corpus that a job asks for by name.
struct Prompt {
  std::vector<uint32_t> ids;
  int64_t document = 0;  // of an image; prompts of text stand outside the corpus
};

class Corpus {
 public:
  virtual ~Corpus() = default;

  virtual CorpusKind kind() const = 0;
  virtual uint32_t id(int64_t token) const = 0;
  /// Whether it is known whose words the tokens are: those of chats.
  virtual bool has_roles() const { return false; }
  /// Of a token of such a corpus: 0 the chat template, 1 system, 2 user, 3 assistant, 4 tool.
  virtual uint8_t role(int64_t /*token*/) const { return 0; }
  /// Those in the midst of text, in the order of their tokens.
  virtual std::span<const PlacedImage> images() const { return {}; }
  /// Their size, where there are any.
  virtual ImageSize image_size() const { return {}; }
  /// Those whose tokens stand among [begin, end), where no window cuts an image.
  std::span<const PlacedImage> images_among(int64_t begin, int64_t end) const;
  /// By document, what it asks of the loss; empty where the corpus is of no tasks.
  std::span<const Request> requests() const { return requests_; }
  const std::vector<std::string>& tasks() const { return tasks_; }
  /// The prompt of a name; refuses (kCorpus) an unknown one and lists those that there are.
  virtual Prompt prompt(const std::string& name) const = 0;

  const std::string& path() const { return path_; }
  int64_t tokens() const { return document_offset_.back(); }
  int64_t documents() const { return static_cast<int64_t>(document_offset_.size()) - 1; }
  /// [documents + 1] first token of each document, then the number of tokens.
  const std::vector<int64_t>& document_offset() const { return document_offset_; }
  /// The document that a token belongs to.
  int64_t document_of(int64_t token) const;
  /// The class of an id. Text: 1 delimiter, 2 weak-semantic word, 3 other; a window's position 0 is
  /// a class of its own, 0. Images: 0 class token, 1 register, 2 patch.
  uint8_t class_of(uint32_t id) const { return token_class_[id]; }
  const std::vector<uint8_t>& token_classes() const { return token_class_; }
  int64_t vocabulary_size() const { return static_cast<int64_t>(token_class_.size()); }
  const std::vector<std::byte>& vocabulary_bytes() const { return vocabulary_bytes_; }
  const std::vector<uint64_t>& vocabulary_offset() const { return vocabulary_offset_; }
  const std::string& fingerprint() const { return fingerprint_; }
  /// Of the tokenizer, or of the settings that made pixels of images.
  const std::string& tokenizer_fingerprint() const { return tokenizer_fingerprint_; }
  /// "none", "bos" or "bos-eos": the special tokens that preparation put around each document.
  const std::string& special_tokens() const { return special_tokens_; }
  /// -1 where there is none.
  int64_t bos_id() const { return bos_id_; }
  int64_t eos_id() const { return eos_id_; }

 protected:
  std::string path_;
  std::vector<int64_t> document_offset_;
  std::vector<uint8_t> token_class_;
  std::vector<std::byte> vocabulary_bytes_;
  std::vector<uint64_t> vocabulary_offset_;
  std::vector<Request> requests_;
  std::vector<std::string> tasks_;
  std::string fingerprint_;
  std::string tokenizer_fingerprint_;
  std::string special_tokens_ = "none";
  int64_t bos_id_ = -1;
  int64_t eos_id_ = -1;
};

}  // namespace actsweep
