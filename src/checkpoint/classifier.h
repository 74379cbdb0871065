// Classifiers of images: what a linear head reads of the rows behind the last layer, and its
// tensors.
//
// In: the facts of a model of images, the tensors of its checkpoint or of a file of a head. Out:
// which rows are taken and how, and tensor rows. Refuses (kModel) a checkpoint without a
// classifier, a model whose own is not known, and heads of another width.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// What a head reads of an image's tokens.
enum class ImageFeatures {
  kClassToken,       // the first token
  kClassTokens,      // the two of DeiT, each by a head of its own; the mean of both logits
  kClassAndPatches,  // the first token, and behind its channels the mean of the patches
  kPatches,          // the mean of the patches
};

struct ClassifierFacts {
  ImageFeatures features = ImageFeatures::kClassToken;
  bool takes_final_norm = true;  // behind the norm behind the last layer
  bool has_direction = false;    // features are projected and made of length 1 (CLIP)
  int64_t classes = 0;
  std::vector<TensorRow> rows = {};  // the names are those of the checkpoint
};

/// The word of a job for the checkpoint's own classifier.
inline constexpr const char* kOwnClassifier = "checkpoint";

/// `source` is that word, or a safetensors file with `weight` [classes, width] and maybe `bias`
/// [classes] (or `classifier.weight` and `classifier.bias`), whose tensors go into `tensors` in the
/// place of the checkpoint's. `path` is the checkpoint's, for messages.
ClassifierFacts read_classifier(const std::string& source, const std::string& path,
                                const Architecture& architecture,
                                std::map<std::string, StoredTensor>& tensors);

}  // namespace actsweep
