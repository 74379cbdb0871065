// The scores of tasks: the log-likelihood of what each sequence asks, of the original and of
// variants.
//
// In: the negative log-likelihood of each owned row's next token in nats, as LossStatistics takes
// it. Out: the rows of declare_scores_of_requests and declare_variant_scores.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "corpus/window.h"
#include "stats/row_sink.h"

namespace actsweep {

/// [windows] of the labels: Σ log p(id at i) in nats over the places i from the request's
/// `first_scored` to the document's end. The row before an id has its loss. A window is a whole
/// document, behind a BOS or sink token where it has one.
std::vector<double> log_likelihoods(const OwnedRows& labels, const at::Tensor& token_nll);

class RequestScores {
 public:
  RequestScores();

  /// `token_nll` as of sum_losses.
  void update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink);
  /// The same of a variant; variants come one after the other, each with all of a block's
  /// micro-batches.
  void update_variant(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink);

 private:
  Dataset original_;
  Dataset variant_;
};

}  // namespace actsweep
