// A tokenised corpus, as data/prepare_corpus.py writes it.
//
// In: an HDF5 token file. Out: token ids (mapped, not loaded), document offsets, the vocabulary's
// bytes, the class of each id, the named prompts; of chats the role of each token; of texts with
// images these. Refuses
// (ErrorKind::kCorpus) files of another schema, missing datasets, ids stored in another layout than
// contiguous uint32, offsets that do not fit the ids, classes that there are not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "corpus/corpus.h"
#include "corpus/text_images.h"

namespace actsweep {

class TokenFile : public Corpus {
 public:
  explicit TokenFile(const std::string& path);

  CorpusKind kind() const override { return CorpusKind::kText; }
  uint32_t id(int64_t token) const override { return ids_[token]; }
  bool has_roles() const override { return !roles_.empty(); }
  uint8_t role(int64_t token) const override { return roles_[token]; }
  bool has_prompt(const std::string& name) const;
  /// One of the file's named prompts.
  Prompt prompt(const std::string& name) const override;

  std::span<const PlacedImage> images() const override;
  ImageSize image_size() const override { return images_ ? images_->size() : ImageSize(); }

  std::span<const uint32_t> ids() const { return ids_; }
  /// Refuses the corpus if an id lies beyond a model's vocabulary of this size.
  void check_ids(int64_t vocabulary) const;
  /// The same of a prompt.
  void check_prompt(const std::string& name, const Prompt& prompt, int64_t vocabulary) const;
  /// The same of the BOS, which a job may put before each window.
  void check_bos(int64_t vocabulary) const;
  /// Refuses ids of which not exactly those that stand for the file's images are `image_id`.
  void check_images(uint32_t image_id) const { images_->check_ids(ids_, image_id); }
  /// Refuses those of some ids that stand for images; `what` the ids are, for the message.
  void check_text(const std::string& what, std::span<const uint32_t> ids,
                  const std::vector<int64_t>& image_ids) const;

 private:
  void read_requests(const H5File& file);
  int64_t limit_of(int64_t vocabulary) const;

  std::shared_ptr<const MappedFile> map_;
  std::span<const uint32_t> ids_;
  std::span<const uint8_t> roles_;  // empty where the file has none
  std::optional<TextImages> images_;
};

}  // namespace actsweep
