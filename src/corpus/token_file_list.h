// Several token files as one corpus: their documents one after the other, in the order of the list.
//
// Refuses (ErrorKind::kCorpus) files that are not of one tokenizer: other vocabularies, classes of
// ids, special tokens around documents, BOS or EOS than the first file's; chats beside texts;
// images of two sizes; and a prompt that two files have with different ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "corpus/token_file.h"

namespace actsweep {

class TokenFileList : public Corpus {
 public:
  /// Of at least one file.
  explicit TokenFileList(std::vector<std::unique_ptr<const TokenFile>> files);

  CorpusKind kind() const override { return CorpusKind::kText; }
  uint32_t id(int64_t token) const override;
  bool has_roles() const override { return files_.front()->has_roles(); }
  std::span<const PlacedImage> images() const override { return images_; }
  ImageSize image_size() const override { return image_size_; }
  uint8_t role(int64_t token) const override;
  /// Of the first file that has it; refuses (kCorpus) a name that none has.
  Prompt prompt(const std::string& name) const override;

 private:
  /// The number of the file with a token of the corpus.
  size_t file_of(int64_t token) const;
  void append(const TokenFile& file);
  void append_requests(const TokenFile& file);
  void append_images(const TokenFile& file, int64_t begin);

  std::vector<std::unique_ptr<const TokenFile>> files_;
  std::vector<int64_t> first_token_;  // [files] of the corpus
  std::vector<PlacedImage> images_;   // of all files, with their tokens in the corpus
  ImageSize image_size_;
};

}  // namespace actsweep
