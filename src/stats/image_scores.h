// What a classifier says of each image: its class, and where the label stands.
//
// In: logits. Out: the rows of declare_classification and declare_variant_classification.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "corpus/window.h"
#include "stats/row_sink.h"

namespace actsweep {

/// Of images, [images] each.
struct ImageAnswers {
  std::vector<uint32_t> label;
  std::vector<uint32_t> predicted;
  std::vector<uint32_t> label_rank;
  std::vector<double> label_log_likelihood;  // nat
};

/// logits [images, classes] float32 on the host, contiguous; `label` [images], below the classes.
/// The datasets of the same names say what each value is.
ImageAnswers answers_of(const at::Tensor& logits, std::vector<uint32_t> label);

class ImageScores {
 public:
  /// `labels` [images of the corpus] must outlive it.
  explicit ImageScores(const std::vector<uint32_t>& labels);

  /// `logits` of the windows of the labels, which are whole images, as of answers_of.
  void update(const OwnedRows& own, const at::Tensor& logits, RowSink& sink) const;
  /// The same of a variant; variants come one after the other, each with all of a block's
  /// micro-batches.
  void update_variant(const OwnedRows& own, const at::Tensor& logits, RowSink& sink) const;

 private:
  ImageAnswers answers(const OwnedRows& own, const at::Tensor& logits) const;

  const std::vector<uint32_t>& labels_;
  std::vector<Dataset> original_;
  std::vector<Dataset> variant_;
};

}  // namespace actsweep
