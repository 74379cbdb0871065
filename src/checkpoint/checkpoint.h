// A Hugging Face checkpoint directory: config, family, tensors, and the proof that they fit each
// other.
//
// In: a directory with config.json and safetensors files; of a model of several parts what is
// read. Out: the architecture and each tensor row's tensor, mapped; nothing but
// headers is read. Refuses (kModel) missing tensors, wrong shapes and dtypes, weights of the model
// that the family has no use for, and a config that contradicts the weights. A head of its own may
// be missing: only the loss needs one.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "checkpoint/checkpoint_files.h"
#include "checkpoint/classifier.h"
#include "checkpoint/family.h"
#include "checkpoint/linear_layers.h"
#include "checkpoint/projector.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/unused_tensors.h"
#include "checkpoint/wrapper.h"

namespace actsweep {

class Checkpoint {
 public:
  /// `classifier` is what read_classifier takes, where one is read.
  explicit Checkpoint(const std::string& directory, Reading reading = Reading::kText,
                      const std::optional<std::string>& classifier = {});
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  const std::string& directory() const { return directory_; }
  const Config& config() const { return config_; }
  const Architecture& architecture() const { return architecture_; }
  const std::vector<TensorRow>& rows() const { return rows_; }
  /// What reads the sites, by the names that transformers gives the modules.
  std::vector<LinearLayer> linear_layers() const;
  /// Whether what is read is one of several parts.
  bool is_part() const { return part_.wrapper != nullptr; }
  /// Ids that stand for images, which text of a language model of several parts has not.
  const std::vector<int64_t>& image_tokens() const { return part_.image_tokens; }
  /// What makes rows of a language model of images, where they are read for text.
  const std::optional<ProjectorFacts>& projector() const { return projector_; }
  /// What tells the classes of images, where it is read.
  const std::optional<ClassifierFacts>& classifier() const { return classifier_; }
  bool is_of_classifier(const std::string& name) const;
  /// How its weights are quantised, if they are.
  const Quantisation& quantisation() const { return quantisation_; }
  /// The tensor of a row in a layer (0-based; ignored for rows that exist once), which holds
  /// numbers.
  const StoredTensor& tensor(const TensorRow& row, int64_t layer) const;
  /// The same of a row whose weight is packed; null where it is stored as numbers.
  const PackedWeight* packed(const TensorRow& row, int64_t layer) const;
  /// All tensors that are read, scales among them, by the family's names. Two may have one tensor.
  const std::unordered_map<std::string, const StoredTensor*>& used() const { return used_; }
  /// Bytes of these tensors in the files.
  int64_t stored_bytes() const;
  /// Refuses (kModel) the loss of a checkpoint without the head that it needs.
  void require_head() const;
  /// What is to be said of stored tensors that are not read, one line each.
  const std::vector<std::string>& warnings() const { return files_.warnings; }
  /// The same of what every forward pass does without: buffers, parts beside the model.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  /// Where the values of a row are: in a tensor of numbers, or packed; or nowhere.
  struct Found {
    const StoredTensor* tensor = nullptr;
    std::optional<PackedWeight> packed = {};
    bool is_stored() const { return tensor != nullptr || packed; }
  };

  Found find(const TensorRow& row, int64_t layer) const;
  Found find_under(const std::string& name, const TensorRow& row) const;
  void use(const std::string& name, const TensorRow& row, Found found);
  std::vector<std::string> names_of(const std::string& name) const;
  const StoredTensor* find_stored(const std::string& name) const;
  void use_projector();
  void use_classifier(const std::string& source);
  void drop_missing_head();
  void use_stacked_experts();
  void use_exchanged_axes();
  void find_tensors();
  void check(const StoredTensor& tensor, const std::string& name, const TensorRow& row) const;
  bool is_behind_features(const std::string& stored) const;
  Unused judge(const UnusedTensors& unused, const std::string& stored) const;
  void judge_unused();
  void note_image_layers();

  std::string directory_;
  Config config_;
  ModelPart part_;  // what is read of it: a part, or all
  const Family* family_;
  Architecture architecture_;
  std::vector<TensorRow> rows_;
  std::optional<ProjectorFacts> projector_;
  std::optional<ClassifierFacts> classifier_;
  std::vector<TensorRow> behind_features_;  // of the tower, which no image in text passes
  Quantisation quantisation_;
  CheckpointFiles files_;
  std::unordered_map<std::string, const StoredTensor*> used_;
  std::unordered_map<std::string, PackedWeight> packed_;  // by the family's names of the weights
  std::vector<TensorRow> missing_head_;
  std::vector<std::string> notes_;
};

}  // namespace actsweep
